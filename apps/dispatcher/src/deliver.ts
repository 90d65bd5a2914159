import { type Claim, type Settled, StorageBusy, StorageUnavailable, type Store } from "@async-mail/db/store";
import { type Account, DEFAULT_ACCOUNT_ID, type OnAmbiguous } from "@async-mail/domain/account";
import { type AttemptFacts, decide, expiredBeforeSending, type RetryPolicy } from "@async-mail/domain/decide";
import type { Outcome, Reply } from "@async-mail/domain/outcome";
import { givenUp } from "@async-mail/domain/recipient";
import { type Instant, toWallMs } from "@async-mail/domain/time";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";
import { type Composer, ComposerClosed } from "./composer.ts";
import type { DispatcherMetrics } from "./metrics.ts";
import type { Relay } from "./relay.ts";
import type { Settler } from "./settler.ts";

export type Delivery = {
  store: { queue: Pick<Store["queue"], "contents"> };
  composer: Pick<Composer, "compose">;
  relay: Pick<Relay, "send">;
  settler: Pick<Settler, "settle">;
  clock: Pick<Clock, "now" | "monotonicMs">;
  log: Pick<Log, "settled" | "leaseLost" | "accountHeld" | "accountReleased" | "failed">;
  metrics: DispatcherMetrics;
  /** The configuration's own account, with the password that only the configuration has. */
  defaultAccount: Account | null;
  onAmbiguous: OnAmbiguous;
  policy: Omit<RetryPolicy, "jitter">;
  /** From 0 to 1. */
  random(): number;
};

/** One claimed message, to its settled row. Never throws. */
export async function deliver(delivery: Delivery, claim: Claim): Promise<void> {
  const startedMs = delivery.clock.monotonicMs();
  try {
    const { outcome, now } = await outcomeOf(delivery, claim);
    await settle(delivery, claim, outcome, now, startedMs);
  } catch (error) {
    delivery.log.failed(error, { what: "delivery", id: claim.id });
    await endAfterBug(delivery, claim, error, startedMs);
  }
}

/** A bug, and this message's alone: better an end that everyone sees than a claim that is never settled. */
async function endAfterBug(delivery: Delivery, claim: Claim, bug: unknown, startedMs: number): Promise<void> {
  const error = `internal error, it may have been sent: ${bug}`;
  const recipients = claim.recipients.map((one) => (one.outcome === "waiting" ? givenUp(one, error, {}) : one));
  const outcome: Outcome = { kind: "error", error, recipients, mailFromSent: true };
  try {
    await settle(delivery, claim, outcome, delivery.clock.now(), startedMs);
  } catch (again) {
    delivery.log.failed(again, { what: "delivery, ending it", id: claim.id });
  }
}

async function settle(delivery: Delivery, claim: Claim, outcome: Outcome, now: Instant, startedMs: number) {
  const { clock, log, metrics, settler } = delivery;
  const settled = await settler.settle(claim, outcome, now);
  if (settled === null) return; // this process ends first, and its claims go back with it
  if (settled.written) metrics.settled(claim, outcome, now.wallMs);
  if (settled.written) log.settled(describe(claim, outcome, now, clock.monotonicMs() - startedMs));
  else log.leaseLost({ id: claim.id, account: claim.account.id });
  tellAccount(log, claim.account.id, settled, now);
}

async function outcomeOf(delivery: Delivery, claim: Claim): Promise<{ outcome: Outcome; now: Instant }> {
  const { clock, policy, random } = delivery;
  const facts = factsOf(claim, delivery.onAmbiguous);
  const begun = clock.now();
  const expired = expiredBeforeSending(facts, begun);
  if (expired !== null) return { outcome: expired, now: begun };
  const reply = await attempt(delivery, claim);
  const now = clock.now();
  return { outcome: decide(reply, facts, now, { ...policy, jitter: random() }), now };
}

/** The one place where exceptions become a value. */
async function attempt(delivery: Delivery, claim: Claim): Promise<Reply> {
  let handedOver = false;
  try {
    const composed = await compose(delivery, claim);
    if (!composed.ok) return { kind: "uncomposed", permanent: composed.permanent, reason: composed.reason };
    handedOver = true;
    const { accountKey, connectionShare } = claim;
    const hop = { accountKey, connectionShare, account: accountOf(claim, delivery.defaultAccount) };
    return await delivery.relay.send(hop, { sender: composed.sender, raw: composed.raw, recipients: waiting(claim) });
  } catch (error) {
    if (error instanceof StorageBusy || error instanceof StorageUnavailable || error instanceof ComposerClosed)
      return { kind: "given_back", reason: error.message, mailFromSent: false };
    delivery.log.failed(error, { what: "attempt", id: claim.id });
    if (handedOver) return { kind: "ambiguous", reason: String(error) };
    return { kind: "uncomposed", permanent: false, reason: String(error) };
  }
}

async function compose({ composer, store, clock, metrics }: Delivery, claim: Claim) {
  const startedMs = clock.monotonicMs();
  const composed = await composer.compose({
    payload: claim.payload,
    messageId: claim.messageId,
    dateMs: claim.firstAttemptMs,
    contents: async () => (claim.contentBytes === 0 ? [] : await store.queue.contents(claim.messageKey)),
  });
  metrics.composed((clock.monotonicMs() - startedMs) / 1000, composed.attachments);
  return composed;
}

function accountOf(claim: Claim, configured: Account | null): Account {
  return claim.account.id === DEFAULT_ACCOUNT_ID && configured !== null ? configured : claim.account;
}

function waiting({ recipients }: Claim): string[] {
  return recipients.filter((one) => one.outcome === "waiting").map((one) => one.address);
}

function factsOf(claim: Claim, configured: OnAmbiguous): AttemptFacts {
  const { attempts, firstDueMs, expiresMs, recipients } = claim;
  const onAmbiguous = claim.onAmbiguous ?? claim.account.onAmbiguous ?? configured;
  return { attempts, firstDueMs, expiresMs, recipients, onAmbiguous };
}

function describe(claim: Claim, outcome: Outcome, now: Instant, ms: number): Parameters<Log["settled"]>[0] {
  return {
    id: claim.id,
    account: claim.account.id,
    outcome: outcome.kind,
    attempts: claim.attempts + 1,
    ms: Math.round(ms),
    ...("code" in outcome && outcome.code !== undefined ? { code: outcome.code } : {}),
    ...("reason" in outcome ? { error: outcome.reason } : {}),
    ...("error" in outcome ? { error: outcome.error } : {}),
    ...("untilMs" in outcome ? { untilMs: toWallMs(outcome.untilMs, now) } : {}),
  };
}

function tellAccount(log: Delivery["log"], account: string, { held, released }: Settled, now: Instant): void {
  if (held) log.accountHeld({ account, reason: held.reason, untilMs: toWallMs(held.untilMs, now) });
  if (released) log.accountReleased({ account });
}
