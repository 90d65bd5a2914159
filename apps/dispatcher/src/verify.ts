import type { Store } from "@async-mail/db/store";
import type { Account } from "@async-mail/domain/account";
import type { Clock } from "@async-mail/runtime/clock";
import type { Presence } from "@async-mail/runtime/presence";
import type { Connection } from "./connection.ts";
import { CannotOpen } from "./opening-failure.ts";

export type Verifier = {
  store: { accounts: Pick<Store["accounts"], "takeVerification" | "answerVerification"> };
  presence: Pick<Presence, "process">;
  clock: Pick<Clock, "now">;
  /** Connects and logs in; throws CannotOpen. */
  openConnection(account: Account): Promise<Connection>;
  /** The account as it is used, with the password that only the configuration may have. */
  accountInUse(account: Account): Account;
};

/** How often the API's requests are looked for; someone waits, though not for milliseconds. */
const LOOK_MS = 1_000;

/** One pass: answers whoever asks for an account's login to be tried. Nothing is sent. */
export async function verifyAsked(verifier: Verifier): Promise<{ waitMs: number }> {
  const { store, presence, clock } = verifier;
  const asked = await store.accounts.takeVerification(presence.process(), clock.now());
  if (asked === null) return { waitMs: LOOK_MS };
  const answer = await tryLogin(verifier, asked.account);
  await store.accounts.answerVerification(asked.key, answer, clock.now());
  return { waitMs: 0 };
}

async function tryLogin({ openConnection, accountInUse }: Verifier, account: Account) {
  try {
    const connection = await openConnection(accountInUse(account));
    connection.quit();
    await connection.closed;
    return { ok: true, text: "" };
  } catch (error) {
    if (error instanceof CannotOpen) return { ok: false, text: error.message };
    throw error;
  }
}
