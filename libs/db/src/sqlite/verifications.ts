import type { Instant } from "@async-mail/domain/time";
import { and, asc, eq, isNull } from "drizzle-orm";
import type { AccountStore } from "../store.ts";
import type { Engine } from "./engine.ts";
import { verifications } from "./schema.ts";
import { release } from "./settle.ts";

type VerificationStore = Pick<
  AccountStore,
  "askVerification" | "verification" | "dropVerification" | "takeVerification" | "answerVerification"
>;

/** For works that take no note of the time. */
const NO_TIME: Instant = { wallMs: 0, steadyMs: 0 };

/** A request of the API travels to a dispatcher, and its answer back, through a row. */
export function verificationStore({ writer, orm }: Engine): VerificationStore {
  return {
    askVerification: (id, now) =>
      writer.write(now, (tx) => {
        const queue = tx.queueOf(id);
        if (!queue?.account) return null;
        const asked = { queue: queue.key, askedMs: tx.now.steadyMs };
        return orm.insert(verifications).values(asked).returning({ key: verifications.key }).get().key;
      }),

    verification: (key) =>
      writer.read(() => {
        const row = orm.select().from(verifications).where(eq(verifications.key, key)).get();
        return row?.ok == null ? null : { ok: row.ok, text: row.answer ?? "" };
      }),

    dropVerification: (key) =>
      writer.write(NO_TIME, () => {
        orm.delete(verifications).where(eq(verifications.key, key)).run();
      }),

    async takeVerification(process, now) {
      // A look first: most of the time there is none, and a transaction would wake every other process.
      const open = and(isNull(verifications.process), isNull(verifications.ok));
      const waiting = await writer.read(() => orm.select().from(verifications).where(open).get());
      if (!waiting) return null;
      return writer.write(now, (tx) => {
        const row = orm.select().from(verifications).where(open).orderBy(asc(verifications.key)).get();
        if (!row) return null;
        orm.update(verifications).set({ process }).where(eq(verifications.key, row.key)).run();
        const { account } = tx.queue(row.queue);
        if (account) return { key: row.key, accountKey: row.queue, account };
        orm
          .update(verifications)
          .set({ ok: false, answer: "account deleted" })
          .where(eq(verifications.key, row.key))
          .run();
        return null;
      });
    },

    answerVerification: (key, { ok, text }, now) =>
      writer.write(now, (tx) => {
        const row = orm
          .update(verifications)
          .set({ ok, answer: text })
          .where(eq(verifications.key, key))
          .returning()
          .get();
        if (row && ok) release(tx.queue(row.queue));
      }),
  };
}
