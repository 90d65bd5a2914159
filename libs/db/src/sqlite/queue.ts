import { endOf } from "@async-mail/domain/decide";
import type { Instant } from "@async-mail/domain/time";
import { type Claim, type ClaimAnswer, type QueueStore, StorageBusy, StorageUnavailable } from "../store.ts";
import { anyReady, claimDue, loadClaim, nextReadyMs, type Taken } from "./claim.ts";
import type { Engine } from "./engine.ts";
import { isCorrupt } from "./errors.ts";
import { DamagedRow, knownRecipients } from "./message-row.ts";
import { settle } from "./settle.ts";
import { statement } from "./statement.ts";
import { giveBackConnections } from "./turn.ts";
import { withheld } from "./withheld.ts";

const CONTENTS = "SELECT bytes FROM contents WHERE message = ? ORDER BY position";

type Loaded = Pick<Extract<ClaimAnswer, { kind: "claimed" }>, "claims" | "damaged" | "unread">;

export function queueStore(engine: Engine): QueueStore {
  const { db, writer } = engine;

  async function load(taken: Taken[], now: Instant): Promise<Loaded> {
    try {
      const read = await writer.read(() => taken.map((one) => ({ one, claim: loadUnlessDamaged(one) })));
      const claims = read.flatMap(({ claim }) => (typeof claim === "string" ? [] : [claim]));
      const damaged = read.flatMap(({ one, claim }) => (typeof claim === "string" ? [{ one, error: claim }] : []));
      if (damaged.length > 0) await endDamaged(damaged, now);
      return { claims, damaged: damaged.map(({ one, error }) => ({ id: one.id, error })), unread: [] };
    } catch (error) {
      if (!(error instanceof StorageBusy || error instanceof StorageUnavailable)) throw error;
      return { claims: [], damaged: [], unread: taken.map(({ outcomes: _, ...one }) => one) };
    }
  }

  /** The claim, or what is wrong with its row. */
  function loadUnlessDamaged(one: Taken): Claim | string {
    try {
      return loadClaim(engine, one);
    } catch (error) {
      if (error instanceof DamagedRow || isCorrupt(error)) return (error as Error).message;
      throw error;
    }
  }

  function endDamaged(damaged: { one: Taken; error: string }[], now: Instant) {
    return writer.write(now, (tx) =>
      damaged.map(({ one, error }) =>
        settle(
          tx,
          one,
          endOf(knownRecipients(one.outcomes, null), `the message in the database is damaged: ${error}`, false),
        ),
      ),
    );
  }

  return {
    ready: (now) => writer.read(() => anyReady(db, now.steadyMs)),
    nextReadyMs: () => writer.read(() => nextReadyMs(db)),
    async claimDue(request, now) {
      const made = await writer.write(now, (tx) => claimDue(tx, request));
      if (made.kind !== "claimed") return made;
      const { taken, ...answer } = made;
      return { ...answer, ...(await load(taken, now)) };
    },
    contents: (messageKey) => writer.read(() => statement<Uint8Array>(db, CONTENTS).pluck().all(messageKey)),
    withheld: (process, accountKeys, now) => writer.read(() => withheld(db, process, accountKeys, now.steadyMs)),
    settle: (claim, outcome, now) => writer.write(now, (tx) => settle(tx, claim, outcome)),
    giveBackConnections: (process, accountKey, keep, now) =>
      writer.write(now, (tx) => giveBackConnections(tx, process, accountKey, keep)),
  };
}
