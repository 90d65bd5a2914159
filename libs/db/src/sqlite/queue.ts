import type { Outcome } from "@async-mail/domain/outcome";
import type { Instant } from "@async-mail/domain/time";
import type { Claim, QueueStore } from "../store.ts";
import { anyReady, claimDue, loadClaims, nextReadyMs, type Taken } from "./claim.ts";
import type { Engine } from "./engine.ts";
import { settle } from "./settle.ts";
import { statement } from "./statement.ts";
import { giveBackConnections } from "./turn.ts";

const CONTENTS = "SELECT bytes FROM contents WHERE message = ? ORDER BY position";

const NOT_BEGUN: Outcome = { kind: "given_back", reason: "its payload could not be read", mailFromSent: false };

export function queueStore({ db, writer }: Engine): QueueStore {
  async function load(taken: Taken[], now: Instant): Promise<Claim[]> {
    try {
      return await writer.read(() => loadClaims(db, taken));
    } catch (error) {
      await writer.write(now, (tx) => taken.map((one) => settle(tx, one, NOT_BEGUN)));
      throw error;
    }
  }

  return {
    ready: (now) => writer.read(() => anyReady(db, now.steadyMs)),
    nextReadyMs: () => writer.read(() => nextReadyMs(db)),
    async claimDue(request, now) {
      const made = await writer.write(now, (tx) => claimDue(tx, request));
      if (made.kind !== "claimed") return made;
      const { taken, ...answer } = made;
      return { ...answer, claims: await load(taken, now) };
    },
    contents: (messageKey) => writer.read(() => statement<Uint8Array>(db, CONTENTS).pluck().all(messageKey)),
    settle: (claim, outcome, now) => writer.write(now, (tx) => settle(tx, claim, outcome)),
    giveBackConnections: (process, accountKey, keep, now) =>
      writer.write(now, (tx) => giveBackConnections(tx, process, accountKey, keep)),
  };
}
