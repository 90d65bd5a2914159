import type { Withheld } from "@async-mail/db/store";
import type { Account } from "@async-mail/domain/account";
import type { Reply } from "@async-mail/domain/outcome";
import type { Composed } from "./composed.ts";
import type { Connection } from "./connection.ts";
import { createLane, type Hop, type Lane, type Login, type Outgoing } from "./lane.ts";
import type { Begun } from "./transaction.ts";

export type Relay = {
  /** Hands one message over, when a connection of its account is free; never throws, never hangs. */
  send(hop: Hop, composed: Composed): Promise<Reply>;
  /** Connects and logs in within what is reserved, sending nothing. */
  tryLogin(accountKey: number, account: Account): Promise<Login>;
  /** Connections to the account that this process needs, of its share. */
  needed(accountKey: number, share: number, inFlight: boolean): number;
  /** Accounts of which messages wait for a connection. */
  waiting(): { accountKey: number; account: Account }[];
  /** Gives back what waits for a connection of the account, but for so many. */
  shorten(accountKey: number, most: number): void;
  /** Until the next call, these messages, and those of these accounts, are given back instead of begun. */
  withhold(which: Withheld): void;
  /** The process lost its number: nothing that is open is reserved any more, nothing that waits is ours. */
  drop(): void;
  /** What waits for a connection is given back; what is being sent goes on. */
  stop(): void;
  /** Cuts what is still being sent. */
  cut(): void;
  /** Says QUIT on all connections, and waits until they are closed. */
  close(): Promise<void>;
};

export type RelayOptions = {
  /** Throws the signal's reason when aborted. */
  openConnection(account: Account, signal: AbortSignal): Promise<Connection>;
  /** Connections that this process may have open to the account. */
  share(accountKey: number): number;
  /** Over all accounts. */
  maxConnections: number;
  monotonicMs(): number;
  /** How long a connection may be idle before it is ended. */
  idleMs?: number;
  /** How long the dialogue about a message took. */
  onSession?(seconds: number): void;
};

const STOPPING = givenBack("the dispatcher is stopping");
const NOT_STANDING = givenBack("this dispatcher may no longer stand");
const ENDED_WHILE_IDLE = givenBack("the server had ended the connection", true);
const EXPIRED = givenBack("it expired while it waited for a connection");
const NOT_SOON = givenBack("its server takes no messages any more, and it waited behind others");
const MOST_UNLUCKY = 10_000;
const WITHHELD = givenBack("nothing may leave: the service is suspended, or the account held");

export function createRelay(options: RelayOptions): Relay {
  const lanes = new Map<number, Lane>();
  /** Those that have messages waiting for room under the dispatcher's own limit, first come first. */
  const blocked = new Set<Lane>();
  /** Messages that met a connection the server had done with. */
  const unlucky = new Set<number>();
  let withheld: Withheld = { accounts: new Set(), messages: new Set() };
  let stopping = false;

  function laneOf(accountKey: number, account: Account): Lane {
    let lane = lanes.get(accountKey);
    if (lane === undefined) {
      const share = () => options.share(accountKey);
      lane = createLane({ ...options, share, mayOpen, othersStarve, onRoom });
      lanes.set(accountKey, lane);
    }
    lane.update(account);
    return lane;
  }

  /** Room under the dispatcher's own limit; else the longest idle connection of another account is asked to end. */
  function mayOpen(asking: Lane): boolean {
    if (sum((lane) => lane.open()) < options.maxConnections) return true;
    const others = [...lanes.values()].filter((lane) => lane !== asking && lane.idle() > 0);
    others.sort((a, b) => a.idleSinceMs() - b.idleSinceMs())[0]?.closeOneIdle();
    blocked.add(asking);
    return false;
  }

  /** More accounts without any connection than connections that are ending already. */
  function othersStarve(asking: Lane): boolean {
    const starving = [...blocked].filter((lane) => lane !== asking && starves(lane));
    return starving.length > sum((lane) => lane.closing());
  }

  function sum(of: (lane: Lane) => number): number {
    let total = 0;
    for (const lane of lanes.values()) total += of(lane);
    return total;
  }

  function onRoom(): void {
    const again = [...blocked];
    blocked.clear();
    // An account with a connection gets on anyway.
    const starving = again.filter(starves);
    for (const lane of new Set([...starving, ...again])) lane.serve();
    for (const [accountKey, lane] of lanes) if (lane.unused()) lanes.delete(accountKey);
  }

  /** Why a message is not to be begun; null: it is. */
  function refusal({ stands, expired, ...hop }: Hop): Reply | null {
    if (stopping) return STOPPING;
    if (!stands()) return NOT_STANDING;
    if (expired()) return EXPIRED;
    return isWithheld(hop) ? WITHHELD : null;
  }

  function isWithheld({ accountKey, messageKey }: Pick<Hop, "accountKey" | "messageKey">): boolean {
    return withheld === "all" || withheld.accounts.has(accountKey) || withheld.messages.has(messageKey);
  }

  async function send(hop: Hop, composed: Composed): Promise<Reply> {
    const refused = refusal(hop);
    if (refused !== null) return refused;
    const lane = laneOf(hop.accountKey, hop.account);
    const outgoing = { hop, composed };
    const seat = await lane.take(outgoing);
    if (seat.kind !== "seated") return seat;
    const startedMs = options.monotonicMs();
    const { connection, begun } = seat;
    const reply =
      begun === null
        ? await sendOver(lane, connection, outgoing)
        : await sendFollower(lane, connection, outgoing, begun);
    options.onSession?.((options.monotonicMs() - startedMs) / 1000);
    return reply;
  }

  async function sendOver(lane: Lane, connection: Connection, outgoing: Outgoing): Promise<Reply> {
    const { hop, composed } = outgoing;
    const refused = refusal(hop);
    if (refused !== null) {
      lane.giveBack(connection, true);
      return refused;
    }
    const reused = connection.used > 0;
    if (reused && unlucky.has(hop.messageKey)) {
      const fresh = await lane.replace(connection, outgoing);
      return fresh.kind === "seated" ? sendOver(lane, fresh.connection, outgoing) : fresh;
    }
    return sendOn(lane, connection, outgoing, connection.begin(composed), hop.stands);
  }

  /** One that was begun with another's end, whose answer may have been long in coming: it may be withheld meanwhile. */
  function sendFollower(lane: Lane, connection: Connection, outgoing: Outgoing, begun: Begun): Promise<Reply> {
    const { hop } = outgoing;
    return sendOn(lane, connection, outgoing, begun, () => hop.stands() && !isWithheld(hop));
  }

  /** The rest of a message that was begun, and with its last bytes the beginning of the next. */
  async function sendOn(
    lane: Lane,
    connection: Connection,
    { hop }: Outgoing,
    begun: Begun,
    mayEnd: () => boolean,
  ): Promise<Reply> {
    const reused = connection.used > 1;
    let followed = false;
    const mayFollow = (next: Outgoing) => refusal(next.hop) === null && !unlucky.has(next.hop.messageKey);
    const follow = () => {
      followed = lane.follow(connection, mayFollow);
    };
    const reply = await connection.finish(begun, { mayEnd, follow });
    if (followed) lane.passedOn();
    else void leave(lane, connection, reply);
    if (reused && wentStale(reply)) return againOverFresh(lane, hop);
    unlucky.delete(hop.messageKey);
    return reply;
  }

  /** By another claim, not at once: the server may have counted this MAIL FROM, so the limits must. */
  function againOverFresh(lane: Lane, { messageKey }: Hop): Reply {
    lane.closeIdle(); // they have rested as long
    // One that another dispatcher sends in the end is not taken out here.
    if (unlucky.size >= MOST_UNLUCKY) unlucky.clear();
    unlucky.add(messageKey);
    return ENDED_WHILE_IDLE;
  }

  return {
    send,
    tryLogin: async (accountKey, account) => (stopping ? STOPPING : await laneOf(accountKey, account).tryLogin()),
    needed: (accountKey, share, inFlight) => {
      const lane = lanes.get(accountKey);
      const open = lane?.open() ?? 0;
      const mayFollow = inFlight || (lane !== undefined && !lane.quiet());
      return mayFollow ? Math.max(open, share) : open;
    },
    waiting: () => {
      const found = [];
      for (const [accountKey, lane] of lanes)
        if (lane.waiting() > 0) found.push({ accountKey, account: lane.account() });
      return found;
    },
    shorten: (accountKey, most) => lanes.get(accountKey)?.shorten(most, NOT_SOON),
    withhold: (which) => {
      withheld = which;
      for (const lane of lanes.values()) lane.turnAway(WITHHELD, isWithheld);
    },
    drop: () => {
      for (const lane of lanes.values()) lane.drop(NOT_STANDING);
    },
    stop: () => {
      stopping = true;
      for (const lane of lanes.values()) lane.stop(STOPPING);
    },
    cut: () => {
      for (const lane of lanes.values()) lane.cut(STOPPING.reason);
    },
    close: async () => {
      const closing = [...lanes.values()].map((lane) => lane.close());
      await Promise.all(closing);
    },
  };
}

/** It has messages, and no connection for any of them. */
function starves(lane: Lane): boolean {
  return lane.open() === 0 && lane.waiting() > 0;
}

/** Makes the connection ready for the next message, or ends it. */
async function leave(lane: Lane, connection: Connection, reply: Reply): Promise<void> {
  const envelopeOpen = reply.kind === "refused" && reply.stage !== "dot";
  const usable = connection.alive() && (!envelopeOpen || (await connection.reset()));
  lane.giveBack(connection, usable);
}

/** The server was done with the connection before this message: nobody's fault. */
function wentStale(reply: Reply): boolean {
  if (reply.kind === "broken") return reply.stage === "mail";
  if (reply.kind !== "refused" || reply.stage !== "mail") return false;
  // Amazon SES ends idle sessions with 451 4.4.2, where RFC 5321 has 421.
  return reply.code === 421 || /\b4\.4\.2\b/.test(reply.response);
}

function givenBack(reason: string, mailFromSent = false): Extract<Reply, { kind: "given_back" }> {
  return { kind: "given_back", reason, mailFromSent };
}
