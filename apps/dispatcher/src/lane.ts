import type { Account } from "@async-mail/domain/account";
import type { Reply } from "@async-mail/domain/outcome";
import type { Connection } from "./connection.ts";
import { CannotOpen } from "./opening-failure.ts";

/** A message's place at its account: a connection for it alone, or why there is none. */
export type Seat = { kind: "seated"; connection: Connection } | Reply;

/** One account's connections, and the messages that wait for one of them. */
export type Lane = {
  /** The account as it is now, and how many connections this process may have open to it. */
  update(account: Account, share: number): void;
  take(): Promise<Seat>;
  /** After a message: for the next one when `usable`, else it is ended. */
  giveBack(connection: Connection, usable: boolean): void;
  /** A connection found dead for a fresh one. */
  replace(connection: Connection): Promise<Seat>;
  /** Seats whoever waits, as far as connections and room go. */
  serve(): void;
  /** Lowers the share to what is open, when less is needed; answers it then. */
  lowerShare(): number | null;
  /** Opening, busy, idle and closing: what the server may see. */
  open(): number;
  idle(): number;
  idleSinceMs(): number;
  closeOneIdle(): void;
  closeIdle(): void;
  /** Nothing left to remember. */
  unused(): boolean;
  stop(answer: Reply): void;
  cut(reason: string): void;
  close(): Promise<void>;
};

export type LaneOptions = {
  openConnection(account: Account): Promise<Connection>;
  monotonicMs(): number;
  idleMs?: number;
  /** Room for one more connection in the whole process. */
  mayOpen(asking: Lane): boolean;
  /** A connection is idle or closed: there may be room for another account. */
  onRoom(): void;
};

/** Servers end idle connections after some time, many already after half a minute: we do it first. */
const IDLE_MS = 15_000;
/** A share larger than needed is kept this long after the last message, since another often follows. */
const QUIET_MS = 1_000;
/** After a failed opening, the connections that work carry all for so long. */
const REOPEN_MS = 30_000;

type Waiter = (seat: Seat) => void;
type Idle = { connection: Connection; sinceMs: number; timer: NodeJS.Timeout };

export function createLane(options: LaneOptions): Lane {
  /** Each with the settings under which it was opened. */
  const connections = new Map<Connection, string>();
  const waiting: Waiter[] = [];
  const idleMs = options.idleMs ?? IDLE_MS;
  let idle: Idle[] = [];
  let opening = 0;
  let account: Account;
  let settings = "";
  let share = 0;
  /** Messages that have a connection. */
  let seated = 0;
  let usedMs = 0;
  let reopenMs = 0;
  let stopped = false;

  const open = () => connections.size + opening;

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
    if (open() >= Math.min(share, waiting.length + opening + seated)) return false;
    return open() === 0 || options.monotonicMs() >= reopenMs;
  }

  function seat(waiter: Waiter, connection: Connection): void {
    seated += 1;
    waiter({ kind: "seated", connection });
  }

  async function openFor(waiter: Waiter): Promise<void> {
    opening += 1;
    const under = settings;
    try {
      const connection = await options.openConnection(account);
      connections.set(connection, under);
      void connection.closed.then(() => forget(connection));
      opening -= 1;
      seat(waiter, connection);
    } catch (error) {
      opening -= 1;
      waiter(error instanceof CannotOpen ? error.reply : { kind: "unreachable", stage: "connect", reason: `${error}` });
      afterFailure();
      options.onRoom();
      serve();
    }
  }

  /** The one that failed tells what is wrong with the account; the others need not find out, one login after another. */
  function afterFailure(): void {
    reopenMs = options.monotonicMs() + REOPEN_MS;
    if (open() > 0) return;
    for (const waiter of waiting.splice(0))
      waiter({ kind: "given_back", reason: "the account's server cannot be reached", mailFromSent: false });
  }

  function forget(connection: Connection): void {
    connections.delete(connection);
    dropIdle((one) => one.connection === connection);
    options.onRoom();
    serve();
  }

  /** The one used last, so that a lane that needs fewer lets the others end. */
  function takeIdle(): Connection | null {
    while (true) {
      const last = idle.pop();
      if (last === undefined) return null;
      clearTimeout(last.timer);
      if (isGood(last.connection)) return last.connection;
      last.connection.quit();
    }
  }

  function isGood(connection: Connection): boolean {
    const ageMs = options.monotonicMs() - connection.openedMs;
    return connection.alive() && ageMs < account.ttlSeconds * 1000 && connections.get(connection) === settings;
  }

  function giveBack(connection: Connection, usable: boolean): void {
    seated -= 1;
    usedMs = options.monotonicMs();
    if (usable && !stopped && open() <= share && isGood(connection)) rest(connection);
    else connection.quit();
    serve();
    if (idle.length > 0) options.onRoom();
  }

  function rest(connection: Connection): void {
    const sinceMs = options.monotonicMs();
    const leftMs = account.ttlSeconds * 1000 - (sinceMs - connection.openedMs);
    const timer = setTimeout(() => quitIdle((one) => one.connection === connection), Math.min(idleMs, leftMs));
    timer.unref();
    idle.push({ connection, sinceMs, timer });
  }

  function quitIdle(which: (one: Idle) => boolean): void {
    for (const one of dropIdle(which)) one.connection.quit();
  }

  function dropIdle(which: (one: Idle) => boolean): Idle[] {
    const dropped = idle.filter(which);
    if (dropped.length === 0) return dropped;
    idle = idle.filter((one) => !which(one));
    for (const one of dropped) clearTimeout(one.timer);
    return dropped;
  }

  const lane: Lane = {
    update: (now, newShare) => {
      account = now;
      share = Math.max(newShare, 1);
      settings = settingsOf(now);
    },
    take: () =>
      new Promise((resolve) => {
        usedMs = options.monotonicMs();
        waiting.push(resolve);
        serve();
      }),
    giveBack,
    replace: async (connection) => {
      // The others have been idle as long: they would fail the same way.
      quitIdle(() => true);
      connection.cut("ended by the server while idle");
      await connection.closed;
      seated -= 1;
      return new Promise((resolve) => {
        waiting.unshift(resolve);
        serve();
      });
    },
    serve,
    lowerShare: () => {
      const busy = waiting.length > 0 || open() > idle.length;
      if (busy || open() >= share || options.monotonicMs() - usedMs < QUIET_MS) return null;
      share = open();
      return share;
    },
    open,
    idle: () => idle.length,
    idleSinceMs: () => idle[0]?.sinceMs ?? Infinity,
    closeOneIdle: () => quitIdle((one) => one === idle[0]),
    closeIdle: () => quitIdle(() => true),
    unused: () => open() === 0 && share === 0 && waiting.length === 0,
    stop: (answer) => {
      stopped = true;
      for (const waiter of waiting.splice(0)) waiter(answer);
    },
    cut: (reason) => {
      for (const connection of connections.keys()) connection.cut(reason);
    },
    close: async () => {
      stopped = true;
      idle = [];
      const all = [...connections.keys()];
      for (const connection of all) connection.quit();
      await Promise.all(all.map((connection) => connection.closed));
    },
  };
  return lane;
}

/** All that a connection was made with: another one is needed when it changes. */
function settingsOf({ host, port, user, password, security, timeoutSeconds, tlsCa, tlsServername }: Account): string {
  return JSON.stringify([host, port, user, password, security, timeoutSeconds, tlsCa, tlsServername]);
}
