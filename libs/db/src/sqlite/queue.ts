import type { QueueStore } from "../store.ts";
import { anyReady, claimDue, giveBackConnections, nextReadyMs } from "./claim.ts";
import type { Engine } from "./engine.ts";
import { settle } from "./settle.ts";
import { statement } from "./statement.ts";

const CONTENTS = "SELECT bytes FROM contents WHERE message = ? ORDER BY position";

export function queueStore({ db, writer }: Engine): QueueStore {
  return {
    ready: (now) => writer.read(() => anyReady(db, now.steadyMs)),
    nextReadyMs: () => writer.read(() => nextReadyMs(db)),
    claimDue: (request, now) => writer.write(now, (tx) => claimDue(tx, request)),
    contents: (messageKey) => writer.read(() => statement<Uint8Array>(db, CONTENTS).pluck().all(messageKey)),
    settle: (claim, outcome, now) => writer.write(now, (tx) => settle(tx, claim, outcome)),
    giveBackConnections: (process, accountKey, keep, now) =>
      writer.write(now, (tx) => giveBackConnections(tx, process, accountKey, keep)),
  };
}
