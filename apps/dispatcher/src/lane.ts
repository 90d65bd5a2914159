import type { Account } from "@async-mail/domain/account";
import type { Reply } from "@async-mail/domain/outcome";
import type { Composed } from "./composed.ts";
import type { Connection } from "./connection.ts";
import { CannotOpen } from "./opening-failure.ts";
import type { Begun } from "./transaction.ts";

/** Where a message is to be handed over, and for whom. */
export type Hop = {
  accountKey: number;
  messageKey: number;
  /** 0 goes first. */
  urgency: number;
  /** With its password. */
  account: Account;
  /** The claim is surely still ours: asked before MAIL FROM and before the final dot. */
  stands(): boolean;
  /** It is not worth sending any more. */
  expired(): boolean;
};

/** A message that is to be handed over. */
export type Outgoing = { hop: Hop; composed: Composed };

/** A message's place at its account: a connection (on which it is begun already, or not), or why there is none. */
export type Seat = { kind: "seated"; connection: Connection; begun: Begun | null } | Reply;

/** What came of trying to log in: just now, or there is a connection that is. */
export type Login = { kind: "logged_in" } | { kind: "in_use" } | Reply;

/** One account's connections, and the messages that wait for one of them. */
export type Lane = {
  /** The account as it is now. */
  update(account: Account): void;
  take(outgoing: Outgoing): Promise<Seat>;
  /** Begins the message that waits longest on a connection that has just sent another, if `may` does not mind. */
  follow(connection: Connection, may: (outgoing: Outgoing) => boolean): boolean;
  /** After a message that another one followed. */
  passedOn(): void;
  /** After a message: for the next one when `usable`, else it is ended. */
  giveBack(connection: Connection, usable: boolean): void;
  /** A used connection for a fresh one (or, where others were faster, for another used one). */
  replace(connection: Connection, outgoing: Outgoing): Promise<Seat>;
  /** A fresh connection only to see whether it can be had, within the share; one in use tells as much. */
  tryLogin(): Promise<Login>;
  /** Seats whoever waits, as far as connections and room go. */
  serve(): void;
  /** Opening, busy, idle and closing: what the server may see. */
  open(): number;
  closing(): number;
  idle(): number;
  idleSinceMs(): number;
  waiting(): number;
  /** The account as it is now. */
  account(): Account;
  /** Nothing was sent for a while. */
  quiet(): boolean;
  closeIdle(): void;
  closeOneIdle(): void;
  /** Nothing left to remember. */
  unused(): boolean;
  /** Answers those of the messages that wait for a connection. */
  turnAway(answer: Reply, which: (hop: Outgoing["hop"]) => boolean): void;
  /** Answers those that wait for a connection behind so many others. */
  shorten(most: number, answer: Reply): void;
  /** As `turnAway`, also those for which one is being opened; no connection is used again. */
  stop(answer: Reply): void;
  /** Ends all connections at once, and all that waits, whoever it is for. */
  drop(answer: Extract<Reply, { kind: "given_back" }>): void;
  cut(reason: string): void;
  close(): Promise<void>;
};

export type LaneOptions = {
  /** Throws the signal's reason when aborted. */
  openConnection(account: Account, signal: AbortSignal): Promise<Connection>;
  monotonicMs(): number;
  idleMs?: number;
  /** Connections this process may have open to the account. */
  share(): number;
  /** Room for one more connection in the whole process. */
  mayOpen(asking: Lane): boolean;
  /** Another account has no connection at all, and no room for one. */
  othersStarve(asking: Lane): boolean;
  /** A connection is idle or closed: there may be room for another account. */
  onRoom(): void;
};

/** Servers end idle connections after some time, many already after half a minute: we do it first. */
const IDLE_MS = 15_000;
/** A share larger than needed is kept this long after the last message, since another often follows. */
const QUIET_MS = 1_000;
/** So many more urgent ones go before one that was there first. */
const MOST_PASSED = 9;
/** After a failed opening, the connections that work carry all for so long. */
const REOPEN_MS = 30_000;

/** `outgoing` null: only to log in. */
type Waiter = { answer(seat: Seat): void; outgoing: Outgoing | null; passed: number };
type Idle = { connection: Connection; sinceMs: number; timer: NodeJS.Timeout };

export function createLane(options: LaneOptions): Lane {
  /** Each with the settings under which it was opened. */
  const connections = new Map<Connection, string>();
  /** Those of them that were told to end. */
  const closing = new Set<Connection>();
  const idleMs = options.idleMs ?? IDLE_MS;
  let waiting: Waiter[] = [];
  let idle: Idle[] = [];
  let openings = new AbortController();
  let opening = 0;
  let account: Account;
  let settings = "";
  /** Messages that have a connection. */
  let seated = 0;
  let usedMs = 0;
  let reopenMs = 0;
  let stopped = false;

  const open = () => connections.size + opening;
  /** One always: a message that is here has been claimed. */
  const most = () => Math.max(1, options.share());

  function serve(): void {
    while (waiting.length > 0) {
      const connection = takeIdle();
      if (connection !== null) seat(waiting.shift() as Waiter, connection);
      else if (mayTry() && options.mayOpen(lane)) void openFor(waiting.shift() as Waiter);
      else return;
    }
  }

  /**
   * One connection for each message at most: more are not reserved for this process, and one that is closing still
   * counts at the server.
   */
  function mayTry(): boolean {
    if (open() >= Math.min(most(), waiting.length + opening + seated)) return false;
    return open() === 0 || options.monotonicMs() >= reopenMs;
  }

  function seat(waiter: Waiter, connection: Connection, begun: Begun | null = null): void {
    seated += 1;
    waiter.answer({ kind: "seated", connection, begun });
  }

  /** Behind those that are as urgent, before the others, much of which may have been claimed before it. */
  function standInLine(waiter: Waiter): void {
    let place = waiting.length;
    while (place > 0 && mayPass(waiter, waiting[place - 1]!)) place -= 1;
    for (const passed of waiting.slice(place)) passed.passed += 1;
    waiting.splice(place, 0, waiter);
  }

  /** At most nine times: of what waits here the file no longer sees to it that one of ten is the one due longest. */
  function mayPass(waiter: Waiter, other: Waiter): boolean {
    return urgencyOf(other) > urgencyOf(waiter) && other.passed < MOST_PASSED;
  }

  function follow(connection: Connection, may: (outgoing: Outgoing) => boolean): boolean {
    const [first] = waiting;
    if (first === undefined || first.outgoing === null || !connection.brisk()) return false;
    if (stopped || !isGood(connection) || !isWanted()) return false;
    if (!connection.takes(first.outgoing.composed) || !may(first.outgoing)) return false;
    waiting.shift();
    seat(first, connection, connection.begin(first.outgoing.composed));
    return true;
  }

  async function openFor(waiter: Waiter): Promise<void> {
    try {
      seat(waiter, await openOne());
    } catch (error) {
      waiter.answer(failure(error));
      if (!(error instanceof OpeningEnded)) afterFailure();
      options.onRoom();
      serve();
    }
  }

  async function openOne(): Promise<Connection> {
    const under = settings;
    opening += 1;
    try {
      const connection = await options.openConnection(account, openings.signal);
      connections.set(connection, under);
      void connection.closed.then(() => forget(connection));
      return connection;
    } finally {
      opening -= 1;
    }
  }

  /** The one that failed tells what is wrong with the account; the others need not find out, one login after another. */
  function afterFailure(): void {
    reopenMs = options.monotonicMs() + REOPEN_MS;
    if (open() > 0) return;
    const reason = "the account's server cannot be reached";
    turnAway({ kind: "given_back", reason, mailFromSent: false }, () => true);
  }

  function turnAway(answer: Reply, which: (waiter: Waiter) => boolean): void {
    const away = waiting.filter(which);
    waiting = waiting.filter((waiter) => !which(waiter));
    for (const waiter of away) waiter.answer(answer);
  }

  function abortOpenings(answer: Reply): void {
    openings.abort(new OpeningEnded(answer));
    openings = new AbortController();
  }

  function forget(connection: Connection): void {
    connections.delete(connection);
    closing.delete(connection);
    dropIdle((one) => one.connection === connection);
    options.onRoom();
    serve();
  }

  function end(connection: Connection): void {
    if (connections.has(connection)) closing.add(connection);
    connection.quit();
  }

  /** The one used last, so that a lane that needs fewer lets the others end. */
  function takeIdle(): Connection | null {
    while (true) {
      const last = idle.pop();
      if (last === undefined) return null;
      clearTimeout(last.timer);
      if (isGood(last.connection)) return last.connection;
      end(last.connection);
    }
  }

  function isGood(connection: Connection): boolean {
    const ageMs = options.monotonicMs() - connection.openedMs;
    return connection.alive() && ageMs < account.ttlSeconds * 1000 && connections.get(connection) === settings;
  }

  function giveBack(connection: Connection, usable: boolean): void {
    seated -= 1;
    usedMs = options.monotonicMs();
    if (usable && !stopped && isGood(connection) && isWanted()) rest(connection);
    else end(connection);
    serve();
    if (idle.length > 0) options.onRoom();
  }

  /** What comes back is for this account's next message, unless another account has none at all. */
  function isWanted(): boolean {
    const staying = open() - closing.size;
    return staying <= options.share() && !(staying > 1 && options.othersStarve(lane));
  }

  function rest(connection: Connection): void {
    const sinceMs = options.monotonicMs();
    const leftMs = account.ttlSeconds * 1000 - (sinceMs - connection.openedMs);
    const timer = setTimeout(() => quitIdle((one) => one.connection === connection), Math.min(idleMs, leftMs));
    timer.unref();
    idle.push({ connection, sinceMs, timer });
  }

  function quitIdle(which: (one: Idle) => boolean): void {
    for (const one of dropIdle(which)) end(one.connection);
  }

  function dropIdle(which: (one: Idle) => boolean): Idle[] {
    const dropped = idle.filter(which);
    if (dropped.length === 0) return dropped;
    idle = idle.filter((one) => !which(one));
    for (const one of dropped) clearTimeout(one.timer);
    return dropped;
  }

  function isLoggedIn(): boolean {
    const usable = (connection: Connection) => !closing.has(connection) && isGood(connection);
    return [...connections.keys()].some(usable);
  }

  async function tryLogin(): Promise<Login> {
    if (open() >= most()) return isLoggedIn() ? { kind: "in_use" } : await loginInTurn();
    try {
      end(await openOne());
      return { kind: "logged_in" };
    } catch (error) {
      options.onRoom();
      serve();
      return failure(error);
    }
  }

  async function loginInTurn(): Promise<Login> {
    const place = await new Promise<Seat>((answer) => {
      waiting.unshift({ answer, outgoing: null, passed: 0 });
      serve();
    });
    if (place.kind !== "seated") return place;
    giveBack(place.connection, true);
    return { kind: "logged_in" };
  }

  const lane: Lane = {
    update: (now) => {
      if (now === account) return; // those of one claim share it
      account = now;
      settings = settingsOf(now);
    },
    take: (outgoing) =>
      new Promise((answer) => {
        usedMs = options.monotonicMs();
        standInLine({ answer, outgoing, passed: 0 });
        serve();
      }),
    follow,
    passedOn: () => {
      seated -= 1;
      usedMs = options.monotonicMs();
    },
    giveBack,
    replace: async (connection, outgoing) => {
      end(connection);
      await connection.closed;
      seated -= 1;
      return new Promise((answer) => {
        waiting.unshift({ answer, outgoing, passed: MOST_PASSED });
        serve();
      });
    },
    tryLogin,
    serve,
    open,
    closing: () => closing.size,
    idle: () => idle.length,
    idleSinceMs: () => idle[0]?.sinceMs ?? Infinity,
    waiting: () => waiting.length,
    account: () => account,
    quiet: () => options.monotonicMs() - usedMs >= QUIET_MS,
    closeIdle: () => quitIdle(() => true),
    closeOneIdle: () => quitIdle((one) => one === idle[0]),
    unused: () => open() === 0 && seated === 0 && waiting.length === 0,
    turnAway: (answer, which) => turnAway(answer, ({ outgoing }) => outgoing !== null && which(outgoing.hop)),
    shorten: (most, answer) => {
      for (const { answer: tell } of waiting.splice(most)) tell(answer);
    },
    stop: (answer) => {
      stopped = true;
      turnAway(answer, () => true);
      abortOpenings(answer);
    },
    drop: (answer) => {
      turnAway(answer, () => true);
      abortOpenings(answer);
      for (const connection of connections.keys()) connection.cut(answer.reason);
    },
    cut: (reason) => {
      for (const connection of connections.keys()) connection.cut(reason);
    },
    close: async () => {
      stopped = true;
      dropIdle(() => true);
      const all = [...connections.keys()];
      for (const connection of all) end(connection);
      await Promise.all(all.map((connection) => connection.closed));
    },
  };
  return lane;
}

/** Whoever is only to log in stands before all others. */
function urgencyOf({ outgoing }: Waiter): number {
  return outgoing === null ? -1 : outgoing.hop.urgency;
}

/** An opening that nobody waits for any more, with the answer to whoever did. */
class OpeningEnded extends Error {
  override name = "OpeningEnded";
  answer: Reply;

  constructor(answer: Reply) {
    super("no connection is wanted any more");
    this.answer = answer;
  }
}

function failure(error: unknown): Reply {
  if (error instanceof OpeningEnded) return error.answer;
  return error instanceof CannotOpen ? error.reply : { kind: "unreachable", stage: "connect", reason: `${error}` };
}

/** All that a connection was made with: another one is needed when it changes. */
function settingsOf({ host, port, user, password, security, timeoutSeconds, tlsCa, tlsServername }: Account): string {
  return JSON.stringify([host, port, user, password, security, timeoutSeconds, tlsCa, tlsServername]);
}
