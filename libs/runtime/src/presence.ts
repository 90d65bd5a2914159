import { hostname } from "node:os";
import type { Clock } from "./clock.ts";
import type { Log, ProcessKind } from "./log.ts";
import { runLoop } from "./loop.ts";

type Instant = { wallMs: number; steadyMs: number };

/** What presence needs of the store. */
export type Processes = {
  register(self: { kind: ProcessKind; pid: number; host: string; version: string }, now: Instant): Promise<number>;
  beat(process: number, now: Instant): Promise<boolean>;
  list(): Promise<{ process: number; kind: ProcessKind; beat: number }[]>;
  strikeOff(process: number, beat: number, now: Instant): Promise<boolean>;
  leave(process: number, now: Instant): Promise<void>;
};

export type Presence = {
  /** Its number now; another after it was struck off. */
  process(): number;
  /** Not struck off, and beaten within half the lease: what it holds is surely still its own. */
  stands(): boolean;
  /** Called each time the number is lost, before the new one is had. */
  onLost(listener: (process: number) => void): void;
  leave(): Promise<void>;
};

export type PresenceOptions = {
  processes: Processes;
  kind: ProcessKind;
  version: string;
  leaseMs: number;
  clock: Clock;
  log: Pick<Log, "struckOff" | "wasStruckOff">;
  /** Hears of a beat, or a look at the others, that failed; both are tried again at the next beat. */
  onError(error: unknown, what: string): void;
};

const BEATS_PER_LEASE = 6;
const LONGEST_BEAT_MS = 5_000;

/** Keeps this process's row alive, and strikes off others that show no life. */
export async function keepPresence({
  processes,
  kind,
  version,
  leaseMs,
  clock,
  log,
  onError,
}: PresenceOptions): Promise<Presence> {
  const beatEveryMs = Math.min(leaseMs / BEATS_PER_LEASE, LONGEST_BEAT_MS);
  const register = () => processes.register({ kind, pid: process.pid, host: hostname(), version }, clock.now());
  const lost: ((process: number) => void)[] = [];
  const left = new AbortController();

  let beatenAtMs = clock.monotonicMs();
  let number = await register();
  let struckOff = false;

  const beat = async () => {
    // Read before the beat is written: others count from later, so that we give up before they do.
    const nowMs = clock.monotonicMs();
    if (!struckOff && !(await processes.beat(number, clock.now()))) {
      struckOff = true;
      log.wasStruckOff({ number });
      for (const listener of lost) listener(number);
    }
    if (struckOff) {
      number = await register();
      struckOff = false;
    }
    beatenAtMs = nowMs;
    return { waitMs: beatEveryMs };
  };

  const watcher = createWatcher({ processes, leaseMs, beatEveryMs, clock, log, beatenAtMs: () => beatenAtMs });
  const watch = async () => {
    await watcher.look(number);
    return { waitMs: beatEveryMs };
  };

  // Two loops, so that looking after others never delays a beat.
  const keep = (what: string, pass: () => Promise<{ waitMs: number }>) =>
    runLoop({
      pass,
      clock,
      signal: left.signal,
      onError(error) {
        onError(error, what);
        return beatEveryMs;
      },
    });
  const loops = clock
    .sleep(beatEveryMs, left.signal)
    .then(() => Promise.all([keep("beat", beat), keep("watching processes", watch)]));

  return {
    process: () => number,
    stands: () => !struckOff && !left.signal.aborted && clock.monotonicMs() - beatenAtMs < leaseMs / 2,
    onLost: (listener) => void lost.push(listener),
    async leave() {
      left.abort();
      await loops;
      await processes.leave(number, clock.now());
    },
  };
}

type Watched = { beat: number; stoodStillMs: number };

type WatcherOptions = Pick<PresenceOptions, "processes" | "leaseMs" | "clock" | "log"> & {
  beatEveryMs: number;
  /** When this process last beat itself. */
  beatenAtMs(): number;
};

/**
 * Sees how long each other process's beat has stood still while we were looking, and could beat ourselves. Other time
 * proves nothing: after the whole machine was stopped, or the file took no write, everyone's beat is old, and nobody is
 * dead.
 */
function createWatcher({ processes, leaseMs, beatEveryMs, clock, log, beatenAtMs }: WatcherOptions) {
  let watched = new Map<number, Watched>();
  let lookedAtMs = clock.monotonicMs();

  return {
    async look(self: number): Promise<void> {
      const nowMs = clock.monotonicMs();
      const couldBeat = nowMs - beatenAtMs() <= 2 * beatEveryMs;
      const sinceMs = couldBeat ? Math.min(nowMs - lookedAtMs, 2 * beatEveryMs) : 0;
      lookedAtMs = nowMs;
      const seen = new Map<number, Watched>();
      for (const { process, kind, beat } of await processes.list()) {
        if (process === self) continue;
        const before = watched.get(process);
        const stoodStillMs = before?.beat === beat ? before.stoodStillMs + sinceMs : 0;
        seen.set(process, { beat, stoodStillMs });
        if (stoodStillMs < leaseMs) continue;
        if (await processes.strikeOff(process, beat, clock.now())) log.struckOff({ number: process, kind });
      }
      watched = seen;
    },
  };
}
