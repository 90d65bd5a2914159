import { eventually } from "../support/eventually.ts";
import { aMessage } from "../support/messages.ts";
import type { Proc } from "../support/processes.ts";
import { type SeenSend, seeSends } from "../support/seen-sends.ts";
import { type Service, startService } from "../support/service.ts";

export type LimitedRunOptions = {
  /** Fields of the account, such as `limit_per_minute`. */
  account: Record<string, number>;
  messages: number;
  dispatchers?: number;
  /** The clock by which the mail server stamps, and the environment in which processes live by it. */
  clock: { monotonicMs(): number; env?: Record<string, string> };
  /** At this share of the messages that the server sees, one dispatcher is killed and replaced. */
  kills?: { share: number; random(): number };
  /** Far shorter than a limit's window, or the claims of the dead would fill it anyway; of the clock. */
  leaseSeconds: number;
  /** How long the mail server takes for each message, in ms of this machine. */
  takesMs?: number;
  /** Fields of every message. */
  message?: object;
};

export type LimitedRun = {
  service: Service;
  sends: SeenSend[];
  killed: number;
  /** How often one that lives was so slow that others took it for dead: its connections and dialogues went on meanwhile. */
  lapses(): number;
  /** Resolves when the server has seen so many. */
  seen(count: number, deadlineMs: number): Promise<unknown>;
  /** Kills no more, and ends all. */
  stop(): Promise<void>;
};

/** Several dispatchers on one account, with more messages than it may send. */
export async function startLimitedRun(options: LimitedRunOptions): Promise<LimitedRun> {
  const { account, messages, dispatchers = 4, clock, kills, leaseSeconds, takesMs = 5 } = options;
  const config = `[delivery]\nlease_seconds = ${leaseSeconds}\n`;
  const seen = seeSends(clock.monotonicMs, {
    onMail: () => {
      if (kills && kills.random() < kills.share) killOne();
      return undefined;
    },
    onData: () => pause(takesMs),
  });
  const service = await startService({ dispatchers, config, env: clock.env ?? {}, smtp: seen.smtp });
  const alive: Proc[] = [...service.processes.dispatchers];
  const everStarted: Proc[] = [...alive];
  const starting = new Set<Promise<unknown>>();
  const run: LimitedRun = {
    service,
    sends: seen.all,
    killed: 0,
    lapses: () => everStarted.flatMap((proc) => proc.log).filter(({ event }) => event === "was_struck_off").length,
    seen: (count, deadlineMs) =>
      eventually(
        () => seen.all.length >= count,
        deadlineMs,
        () => `message ${count} (of ${seen.all.length}) at the server`,
      ),
    async stop() {
      options.kills = undefined;
      await Promise.all(starting);
      await service.stop();
    },
  };

  /** Any of them, in the middle of some dialogue: its own or another's. */
  function killOne(): void {
    if (!options.kills || alive.length <= 1) return;
    const [victim] = alive.splice(Math.floor(options.kills.random() * alive.length), 1);
    victim?.kill("SIGKILL");
    run.killed += 1;
    const another = startOne().then((proc) => {
      alive.push(proc);
      everStarted.push(proc);
    });
    starting.add(another);
    void another.finally(() => starting.delete(another));
  }

  /** As a supervisor does: one that could not start is started again. */
  async function startOne(triesLeft = 5): Promise<Proc> {
    try {
      return await service.addDispatcher();
    } catch (error) {
      if (triesLeft === 0) throw error;
      return startOne(triesLeft - 1);
    }
  }

  const { host, port } = service.smtp;
  await service.api.post("/account", { id: "limited", host, port, security: "none", ...account });
  for (let left = messages; left > 0; left -= 1000) {
    const some = Array.from({ length: Math.min(left, 1000) }, () =>
      aMessage({ account_id: "limited", ...options.message }),
    );
    // Where time runs fast, so does what a call waits for the file: 503 asks to try again.
    await eventually(
      async () => (await service.api.addMessages(...some)).status === 200,
      60_000,
      "the messages accepted",
    );
  }
  return run;
}

/** The mail server's own slowness; nobody waits for it. */
function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
