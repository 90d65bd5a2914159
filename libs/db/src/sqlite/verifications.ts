import type { Account } from "@async-mail/domain/account";
import type { Instant } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { AccountStore, AccountsInUse, ClaimRequest } from "../store.ts";
import type { Engine } from "./engine.ts";
import { release } from "./hold.ts";
import { loadQueue, type Queue } from "./queue-row.ts";
import { NotOpened } from "./sealing.ts";
import { statement } from "./statement.ts";
import { mayReserve, reserveOne } from "./turn.ts";
import type { Tx } from "./tx.ts";
import { openedAccount } from "./vault.ts";
import { NO_TIME } from "./writer.ts";

type Asking = Pick<AccountStore, "askVerification" | "verification" | "dropVerification">;
type Answering = Pick<AccountsInUse, "takeVerification" | "answerVerification">;

type Taker = Pick<ClaimRequest, "process" | "maxConnectionsPerAccount">;

const ASK = "INSERT INTO verifications (queue, asked_ms) VALUES (?, ?)";
const ANSWERED = "SELECT ok, answer FROM verifications WHERE key = ? AND ok IS NOT NULL";
const DROP = "DELETE FROM verifications WHERE key = ?";
const OPEN = "SELECT key, queue FROM verifications WHERE process IS NULL AND ok IS NULL ORDER BY key";
const TAKE = "UPDATE verifications SET process = ? WHERE key = ?";
const ANSWER = "UPDATE verifications SET ok = ?, answer = ? WHERE key = ? RETURNING queue";

type Asked = { key: number; queue: number };

/** The first one for which this dispatcher has a connection, or may reserve one: logging in opens one too. */
function forTaker(db: Database, taker: Taker, now: Instant, queueOf: (key: number) => Queue): Asked | undefined {
  const asked = statement<Asked>(db, OPEN).all();
  return asked.find(({ queue }) => mayReserve(db, queueOf(queue), taker, now.steadyMs));
}

/** A request of the API travels to a dispatcher, and its answer back, through a row. */
export function verificationsAsked({ db, writer }: Engine, tenant: string): Asking {
  return {
    askVerification: (id, now) =>
      writer.write(now, (tx) => {
        const queue = tx.queueOf(tenant, id);
        if (!queue?.account) return null;
        return Number(statement(tx.db, ASK).run(queue.key, tx.now.steadyMs).lastInsertRowid);
      }),

    verification: (key) =>
      writer.read(() => {
        const row = statement<{ ok: number; answer: string }>(db, ANSWERED).get(key);
        return row ? { ok: row.ok === 1, text: row.answer } : null;
      }),

    dropVerification: (key) =>
      writer.write(NO_TIME, (tx) => {
        statement(tx.db, DROP).run(key);
      }),
  };
}

export function verificationsAnswered({ db, writer }: Engine): Answering {
  return {
    async takeVerification(taker, now) {
      // A look first: most of the time there is none, and a transaction would wake every other process.
      const waiting = await writer.read(() => forTaker(db, taker, now, (key) => loadQueue(db, key)));
      if (!waiting) return null;
      return writer.write(now, (tx) => {
        const row = forTaker(tx.db, taker, tx.now, tx.queue);
        if (!row) return null;
        const queue = tx.queue(row.queue);
        const account = openedOr(tx, queue, (why) => statement(tx.db, ANSWER).get(0, why, row.key));
        if (account === null) return null;
        statement(tx.db, TAKE).run(taker.process, row.key);
        return { key: row.key, accountKey: row.queue, account, ...reserveOne(tx, queue, taker) };
      });
    },

    answerVerification: (key, { ok, text }, now) =>
      writer.write(now, (tx) => {
        const row = statement<{ queue: number }>(tx.db, ANSWER).get(ok ? 1 : 0, text, key);
        if (row && ok) release(tx.queue(row.queue));
      }),
  };
}

/** The account with its password; null: `tell` has heard why there is none. */
function openedOr(tx: Tx, queue: Queue, tell: (why: string) => void): Account | null {
  if (!queue.account) {
    tell("account deleted");
    return null;
  }
  try {
    return openedAccount(tx.vault, queue);
  } catch (error) {
    if (!(error instanceof NotOpened)) throw error;
    tell(`its password in the database cannot be decrypted, post the account again: ${error.message}`);
    return null;
  }
}
