import type { Account } from "@async-mail/domain/account";
import type { Reply } from "@async-mail/domain/outcome";
import type { Composed } from "./composed.ts";
import type { Connection } from "./connection.ts";
import { createLane, type Lane } from "./lane.ts";

/** Where a message is to be handed over. */
export type Hop = {
  accountKey: number;
  /** With its password. */
  account: Account;
  /** Connections this process may have open to the account. */
  connectionShare: number;
};

export type Relay = {
  /** Hands one message over, when a connection of its account is free; never throws, never hangs. */
  send(hop: Hop, composed: Composed): Promise<Reply>;
  /** Accounts that need less than what is reserved for them, which is lowered with this answer. */
  surplus(isHeld: (accountKey: number) => boolean): { accountKey: number; keep: number }[];
  /** Ends what is idle. */
  closeIdle(): void;
  /** What waits for a connection is given back; what is being sent goes on. */
  stop(): void;
  /** Cuts what is still being sent. */
  cut(): void;
  /** Says QUIT on all connections, and waits until they are closed. */
  close(): Promise<void>;
};

export type RelayOptions = {
  openConnection(account: Account): Promise<Connection>;
  /** Over all accounts. */
  maxConnections: number;
  /** Not struck off, and lately alive: asked before MAIL FROM and before the final dot. */
  stands(): boolean;
  monotonicMs(): number;
  /** How long a connection may be idle before it is ended. */
  idleMs?: number;
  /** How long the dialogue about a message took. */
  onSession?(seconds: number): void;
};

const STOPPING = givenBack("the dispatcher is stopping");
const NOT_STANDING = givenBack("this dispatcher may no longer stand");

export function createRelay(options: RelayOptions): Relay {
  const lanes = new Map<number, Lane>();
  /** Those that have messages waiting for room under the dispatcher's own limit, first come first. */
  const blocked = new Set<Lane>();
  let stopping = false;

  function laneOf(hop: Hop): Lane {
    let lane = lanes.get(hop.accountKey);
    if (lane === undefined) {
      lane = createLane({ ...options, mayOpen, onRoom });
      lanes.set(hop.accountKey, lane);
    }
    lane.update(hop.account, hop.connectionShare);
    return lane;
  }

  /** Room under the dispatcher's own limit; else the longest idle connection of another account is asked to end. */
  function mayOpen(asking: Lane): boolean {
    let open = 0;
    for (const lane of lanes.values()) open += lane.open();
    if (open < options.maxConnections) return true;
    const others = [...lanes.values()].filter((lane) => lane !== asking && lane.idle() > 0);
    others.sort((a, b) => a.idleSinceMs() - b.idleSinceMs())[0]?.closeOneIdle();
    blocked.add(asking);
    return false;
  }

  function onRoom(): void {
    const again = [...blocked];
    blocked.clear();
    for (const lane of again) lane.serve();
  }

  async function send(hop: Hop, composed: Composed): Promise<Reply> {
    if (stopping) return STOPPING;
    const lane = laneOf(hop);
    const seat = await lane.take();
    if (seat.kind !== "seated") return seat;
    if (stopping || !options.stands()) {
      lane.giveBack(seat.connection, true);
      return stopping ? STOPPING : NOT_STANDING;
    }
    const startedMs = options.monotonicMs();
    const reply = await sendOver(lane, seat.connection, composed);
    options.onSession?.((options.monotonicMs() - startedMs) / 1000);
    return reply;
  }

  async function sendOver(lane: Lane, connection: Connection, composed: Composed): Promise<Reply> {
    const reused = connection.used > 0;
    const reply = await connection.send(composed, options.stands);
    if (reused && wentStale(reply, connection)) {
      const fresh = await lane.replace(connection);
      if (fresh.kind !== "seated") return fresh;
      return sendOver(lane, fresh.connection, composed);
    }
    void leave(lane, connection, reply);
    return reply;
  }

  return {
    send,
    surplus: (isHeld) => {
      const found = [];
      for (const [accountKey, lane] of lanes) {
        const keep = isHeld(accountKey) ? null : lane.lowerShare();
        if (keep !== null) found.push({ accountKey, keep });
        if (lane.unused()) lanes.delete(accountKey);
      }
      return found;
    },
    closeIdle: () => {
      for (const lane of lanes.values()) lane.closeIdle();
    },
    stop: () => {
      stopping = true;
      for (const lane of lanes.values()) lane.stop(STOPPING);
    },
    cut: () => {
      for (const lane of lanes.values()) lane.cut("the dispatcher is stopping");
    },
    close: async () => {
      const closing = [...lanes.values()].map((lane) => lane.close());
      await Promise.all(closing);
    },
  };
}

/** Makes the connection ready for the next message, or ends it. */
async function leave(lane: Lane, connection: Connection, reply: Reply): Promise<void> {
  const envelopeOpen = reply.kind === "refused" && reply.stage !== "dot";
  const usable = connection.alive() && (!envelopeOpen || (await connection.reset()));
  lane.giveBack(connection, usable);
}

/** The server had ended the idle connection before it saw this message: nobody's fault. */
function wentStale(reply: Reply, connection: Connection): boolean {
  if (reply.kind === "broken") return reply.stage === "mail" && connection.unanswered();
  return reply.kind === "refused" && reply.stage === "mail" && reply.code === 421;
}

function givenBack(reason: string): Extract<Reply, { kind: "given_back" }> {
  return { kind: "given_back", reason, mailFromSent: false };
}
