import { setTimeout as pause } from "node:timers/promises";
import type { Copy } from "./mail-book.ts";
import type { Act } from "./mail-faults.ts";
import { type Session, strikeAt, type Transaction } from "./mail-session.ts";
import { damageOf, headerOf } from "./message.ts";

const TAKEN = "250 2.0.0 Taken, and thank you";
const HALF = "250 2.0.0 Tak";

/** After the final dot: whether the message is taken, and what is said of it. Answers whether the dialogue goes on. */
export async function endData(session: Session, transaction: Transaction, raw: string): Promise<boolean> {
  const { wire } = session;
  const { dot, lateMs } = transaction.plan;
  if (dot !== "agree" && !dot.startsWith("take")) return wire.act(dot as Act, "");

  const copy = take(session, transaction, raw);
  strikeAt("dot", session, transaction);
  switch (dot) {
    case "take, then cut":
      return wire.act("cut", "");
    case "take, then silence":
      return wire.act("silence", "");
    case "take, half a reply":
      copy.reply = "half";
      await wire.write(HALF);
      return wire.act("cut", "");
    case "take late":
      await pause(lateMs);
  }
  const goesOn = await confirm(session, copy);
  strikeAt("reply", session, transaction);
  return goesOn;
}

function take({ book, connection: { account } }: Session, { begun, recipients }: Transaction, raw: string): Copy {
  const { id, attempt, dispatcher } = begun;
  const copy: Copy = {
    id,
    attempt,
    account,
    recipients,
    dispatcher,
    at: Date.now(),
    reply: "withheld",
    repliedAt: null,
    messageId: headerOf(raw, "message-id"),
    date: headerOf(raw, "date"),
    damage: damageOf(id, raw),
  };
  book.take(copy);
  return copy;
}

async function confirm({ wire }: Session, copy: Copy): Promise<boolean> {
  copy.reply = "unread";
  if (wire.gone() || !(await wire.say(TAKEN))) return false;
  copy.reply = "whole";
  copy.repliedAt = Date.now();
  return true;
}
