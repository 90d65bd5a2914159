import type { Books } from "./books.ts";
import { wasStruckOff } from "./generation.ts";
import type { Copy } from "./mail-book.ts";
import type { MessageRecord } from "./service-client.ts";
import { LEASE_MS } from "./settings.ts";

/** Why, by contract §5, the service may not know that a copy was taken; null: it must know. */
export type Excuse =
  | "the reply was withheld or broken off"
  | "its dispatcher was killed or ran out of its grace"
  | "its dispatcher was stopped for longer than half the lease"
  | "its dispatcher had no time to show life, and was struck off"
  | "by the history, no reply came in time";

/** Above this a reply was so late that the dispatcher may have stopped waiting for it. */
const LATE_MS = 2500;
/** What stood in the network and in our own event loop when a process was stopped or killed. */
const SLACK_MS = 500;

/** `until`: when what the service then did, or says now, came about. Wall ms. */
export function excuseOf(copy: Copy, until: number, record: MessageRecord, books: Books): Excuse | null {
  const { reply, repliedAt, at } = copy;
  if (reply === "withheld" || reply === "half") return "the reply was withheld or broken off";
  if (repliedAt !== null && repliedAt - at > LATE_MS) return "the reply was withheld or broken off";
  if (died(copy, until, books)) return "its dispatcher was killed or ran out of its grace";
  if (wasStopped(copy, until, books)) return "its dispatcher was stopped for longer than half the lease";
  const history = (record.history ?? []).filter(
    (one) => Date.parse(one.at) >= at - SLACK_MS && Date.parse(one.at) <= until,
  );
  if (history.some(({ outcome }) => outcome === "lost") && starved(copy, books))
    return "its dispatcher had no time to show life, and was struck off";
  if (history.some(({ outcome }) => outcome === "ambiguous")) return "by the history, no reply came in time";
  return gaveUpBefore(copy, record, books) ? "by the history, no reply came in time" : null;
}

/** On a machine without time for it, the server may read the final dot after the dispatcher has stopped waiting. */
function gaveUpBefore({ id, attempt, at }: Copy, { history = [] }: MessageRecord, books: Books): boolean {
  const begunAt = books.mail.begunOf(id).find((one) => one.attempt === attempt)?.at ?? at;
  return history.some(({ outcome, at: toldAt }) => {
    const toldMs = Date.parse(toldAt);
    return outcome === "ambiguous" && toldMs - begunAt > LATE_MS && toldMs <= at;
  });
}

function died({ dispatcher, at }: Copy, until: number, books: Books): boolean {
  const generation = books.generation(dispatcher);
  if (generation === undefined) return false;
  const { signals, end } = generation;
  if (signals.some((one) => one.signal === "SIGKILL" && one.at <= until)) return true;
  return end !== null && end.code !== 0 && end.at >= at - SLACK_MS && end.at <= until + SLACK_MS;
}

/** The machine had no time for it. Whoever ends in good order leaves no claim to be lost. */
function starved({ dispatcher }: Copy, books: Books): boolean {
  const generation = books.generation(dispatcher);
  return generation !== undefined && (wasStruckOff(generation) || (generation.end?.code ?? 1) !== 0);
}

function wasStopped({ dispatcher, at }: Copy, until: number, books: Books): boolean {
  const stops = books.generation(dispatcher)?.stops ?? [];
  return stops.some(({ from, to }) => {
    const end = to ?? Date.now();
    return end - from >= LEASE_MS / 2 && end >= at - SLACK_MS && from <= until;
  });
}
