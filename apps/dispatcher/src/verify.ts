import type { Store } from "@async-mail/db/store";
import type { Account } from "@async-mail/domain/account";
import type { Clock } from "@async-mail/runtime/clock";
import type { Presence } from "@async-mail/runtime/presence";
import type { Login } from "./lane.ts";
import type { Relay } from "./relay.ts";

export type Verifier = {
  store: { accounts: Pick<Store["accounts"], "takeVerification" | "answerVerification"> };
  presence: Pick<Presence, "process">;
  clock: Pick<Clock, "now">;
  relay: Pick<Relay, "tryLogin">;
  /** The account as it is used, with the password that only the configuration may have. */
  accountInUse(account: Account): Account;
  stopping: AbortSignal;
  /** An answer could not be written. */
  onError(error: unknown): void;
};

export type Verifications = {
  /** Begins to answer one request for an account's login to be tried. Nothing is sent. */
  pass(): Promise<{ waitMs: number }>;
  /** Resolves when none is under way. */
  answered(): Promise<void>;
};

/** How often the API's requests are looked for; someone waits, though not for milliseconds. */
const LOOK_MS = 1_000;
/** Side by side, so that a silent server delays nobody else's answer. */
const AT_ONCE = 5;

type Asked = NonNullable<Awaited<ReturnType<Store["accounts"]["takeVerification"]>>>;

export function createVerifications(verifier: Verifier): Verifications {
  const { store, presence, clock, onError } = verifier;
  const running = new Set<Promise<void>>();

  return {
    async pass() {
      if (running.size >= AT_ONCE) await Promise.race(running);
      const number = presence.process();
      const asked = await store.accounts.takeVerification(number, clock.now());
      if (asked === null) return { waitMs: LOOK_MS };
      const one = verify(verifier, asked, number)
        .catch(onError)
        .finally(() => running.delete(one));
      running.add(one);
      return { waitMs: 0 };
    },
    answered: async () => void (await Promise.all(running)),
  };
}

async function verify(verifier: Verifier, { key, accountKey, account }: Asked, number: number): Promise<void> {
  const { store, presence, clock, relay, stopping } = verifier;
  const login = await relay.tryLogin(accountKey, verifier.accountInUse(account));
  const mayStand = !stopping.aborted && presence.process() === number;
  // What this process does not answer any more, another one is asked.
  if (login.kind === "given_back" && !mayStand) return;
  await store.accounts.answerVerification(key, answerOf(login), clock.now());
}

function answerOf(login: Login): { ok: boolean; text: string } {
  if (login.kind === "logged_in") return { ok: true, text: "" };
  if (login.kind === "in_use") return { ok: true, text: "in use: a connection is logged in" };
  if ("response" in login) return { ok: false, text: login.response };
  return { ok: false, text: login.reason };
}
