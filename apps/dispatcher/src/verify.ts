import type { Store, Verification } from "@async-mail/db/store";
import type { Account } from "@async-mail/domain/account";
import type { Clock } from "@async-mail/runtime/clock";
import type { Presence } from "@async-mail/runtime/presence";
import type { Login } from "./lane.ts";
import type { Relay } from "./relay.ts";
import type { Reservations } from "./reservations.ts";

export type Verifier = {
  store: { accounts: Pick<Store["accounts"], "takeVerification" | "answerVerification"> };
  presence: Pick<Presence, "process" | "stands">;
  clock: Pick<Clock, "now">;
  relay: Pick<Relay, "tryLogin">;
  reservations: Pick<Reservations, "taken">;
  maxConnectionsPerAccount: number;
  /** The account as it is used, with the password that only the configuration may have. */
  accountInUse(account: Account): Account;
  stopping: AbortSignal;
  /** An answer could not be written. */
  onError(error: unknown): void;
};

export type Verifications = {
  /** Begins to answer the requests for an account's login to be tried. Nothing is sent. */
  look(): Promise<void>;
  /** Resolves when none is under way. */
  answered(): Promise<void>;
};

/** Side by side, so that a silent server delays nobody else's answer. */
const AT_ONCE = 10;
/** Whoever asked waits no longer; what a silent server keeps busy is another's turn then. */
const LONGEST_MS = 30_000;

export function createVerifications(verifier: Verifier): Verifications {
  const { store, presence, clock, reservations, maxConnectionsPerAccount, onError } = verifier;
  const running = new Set<Promise<void>>();

  return {
    async look() {
      while (running.size < AT_ONCE) {
        const process = presence.process();
        const asked = await store.accounts.takeVerification({ process, maxConnectionsPerAccount }, clock.now());
        if (asked === null) return;
        reservations.taken(asked);
        const one = verify(verifier, asked, process)
          .catch(onError)
          .finally(() => running.delete(one));
        running.add(one);
      }
    },
    answered: async () => void (await Promise.all(running)),
  };
}

async function verify(verifier: Verifier, { key, accountKey, account }: Verification, number: number): Promise<void> {
  const { store, presence, clock, relay, stopping } = verifier;
  const login = await withinTime(relay.tryLogin(accountKey, verifier.accountInUse(account)));
  const mayStand = !stopping.aborted && presence.stands() && presence.process() === number;
  // What this process does not answer any more, another one is asked.
  if (login.kind === "given_back" && !mayStand) return;
  await store.accounts.answerVerification(key, answerOf(login), clock.now());
}

async function withinTime(trying: Promise<Login>): Promise<Login> {
  const timer = Promise.withResolvers<Login>();
  const late = setTimeout(
    () => timer.resolve({ kind: "unreachable", stage: "auth", reason: `no answer within ${LONGEST_MS / 1000} s` }),
    LONGEST_MS,
  );
  return Promise.race([trying, timer.promise]).finally(() => clearTimeout(late));
}

function answerOf(login: Login): { ok: boolean; text: string } {
  if (login.kind === "logged_in") return { ok: true, text: "" };
  if (login.kind === "in_use") return { ok: true, text: "in use: a connection is logged in" };
  if ("response" in login) return { ok: false, text: login.response };
  return { ok: false, text: login.reason };
}
