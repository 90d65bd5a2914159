import { type Claim, type Settled, StorageBusy, StorageDamaged, StorageUnavailable } from "@async-mail/db/store";
import type { Account, OnAmbiguous } from "@async-mail/domain/account";
import { type AttemptFacts, decide, endOf, expiredBeforeSending, type RetryPolicy } from "@async-mail/domain/decide";
import type { Outcome, Reply } from "@async-mail/domain/outcome";
import { DEFAULT_TENANT } from "@async-mail/domain/tenant";
import { type Instant, toWallMs } from "@async-mail/domain/time";
import type { Clock } from "@async-mail/runtime/clock";
import type { Log } from "@async-mail/runtime/log";
import { accountInUse } from "./account-in-use.ts";
import type { Attached, Attachments, Gathered } from "./attachments/gather.ts";
import { assembled, type Composed } from "./composed.ts";
import { type Composer, ComposerClosed } from "./composer.ts";
import type { DispatcherMetrics } from "./metrics.ts";
import type { Relay } from "./relay.ts";
import type { Settler } from "./settler.ts";

export type Delivery = {
  attachments: Pick<Attachments, "gather">;
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
  /** Of a composed message. */
  maxMessageBytes: number;
  /** From 0 to 1. */
  random(): number;
};

export type OwnClaim = Claim & {
  /** It is surely still ours: under another number of this process it is not. */
  stands(): boolean;
  /** It waits for its attachments, and needs no connection until what this answers is called. */
  fetches(): () => void;
  /** The server was spoken to about it. */
  left(): void;
};

/** One claimed message, to its settled row. Answers whether that was written. Never throws. */
export async function deliver(delivery: Delivery, claim: OwnClaim): Promise<boolean> {
  const startedMs = delivery.clock.monotonicMs();
  try {
    const { outcome, now } = await outcomeOf(delivery, claim);
    return await settle(delivery, claim, outcome, now, startedMs);
  } catch (error) {
    delivery.log.failed(error, { what: "delivery", id: claim.id });
    return await endAfterBug(delivery, claim, error, startedMs);
  }
}

/** A bug, and this message's alone: better an end that everyone sees than a claim that is never settled. */
async function endAfterBug(delivery: Delivery, claim: OwnClaim, bug: unknown, startedMs: number): Promise<boolean> {
  const error = `internal error, it may have been sent: ${bug}`;
  const outcome = endOf(claim.recipients, error, true);
  try {
    return await settle(delivery, claim, outcome, delivery.clock.now(), startedMs);
  } catch (again) {
    delivery.log.failed(again, { what: "delivery, ending it", id: claim.id });
    return false;
  }
}

async function settle(
  delivery: Delivery,
  claim: OwnClaim,
  outcome: Outcome,
  now: Instant,
  startedMs: number,
): Promise<boolean> {
  const { clock, log, metrics, settler } = delivery;
  const settled = await settler.settle(claim, outcome, now);
  if (settled === null) return false; // this process ends first, and others strike it off
  if (countsAttempt(outcome)) claim.left();
  if (settled.written) metrics.settled(claim, outcome, now.wallMs);
  if (settled.written) log.settled(describe(claim, outcome, now, clock.monotonicMs() - startedMs));
  else log.leaseLost({ id: claim.id, ...whose(claim) });
  tellAccount(log, whose(claim), settled, now);
  return true;
}

async function outcomeOf(delivery: Delivery, claim: OwnClaim): Promise<{ outcome: Outcome; now: Instant }> {
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
async function attempt(delivery: Delivery, claim: OwnClaim): Promise<Reply> {
  let gathered: Gathered | null = null;
  let handedOver = false;
  try {
    gathered = await gather(delivery, claim);
    if (!gathered.ok) return uncomposed(gathered);
    const composed = await compose(delivery, claim, gathered.attached);
    if (!composed.ok) return uncomposed(composed);
    handedOver = true;
    const { accountKey, messageKey, urgency, stands } = claim;
    const hop = {
      accountKey,
      messageKey,
      urgency,
      stands,
      expired: () => claim.expiresMs !== null && delivery.clock.now().wallMs >= claim.expiresMs,
      account: accountInUse(claim.account, delivery.defaultAccount),
    };
    return await delivery.relay.send(hop, composed.message);
  } catch (error) {
    if (error instanceof StorageDamaged) return uncomposed({ permanent: true, reason: error.message });
    if (error instanceof StorageBusy || error instanceof StorageUnavailable || error instanceof ComposerClosed)
      return { kind: "given_back", reason: error.message, mailFromSent: false };
    delivery.log.failed(error, { what: "attempt", id: claim.id });
    if (handedOver) return { kind: "ambiguous", reason: String(error) };
    return uncomposed({ permanent: false, reason: String(error) });
  } finally {
    await gathered?.release();
  }
}

type Uncomposed = Omit<Extract<Reply, { kind: "uncomposed" }>, "kind">;

function uncomposed({ permanent, reason, retryAfterMs }: Uncomposed): Reply {
  return { kind: "uncomposed", permanent, reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

async function gather({ attachments, clock, metrics }: Delivery, claim: OwnClaim): Promise<Gathered> {
  const startedMs = clock.monotonicMs();
  const gathered = await attachments.gather(claim, claim.fetches);
  if (gathered.counts.length > 0) metrics.gathered((clock.monotonicMs() - startedMs) / 1000, gathered.counts);
  return gathered;
}

async function compose(
  { composer, clock, metrics, maxMessageBytes }: Delivery,
  claim: Claim,
  attached: Attached[],
): Promise<({ ok: false } & Uncomposed) | { ok: true; message: Composed }> {
  const startedMs = clock.monotonicMs();
  const { payload, messageId, firstAttemptMs: dateMs, bytes } = claim;
  const composed = await composer.compose(
    { payload, messageId, dateMs, attachedAs: attached.map((one) => one.as) },
    bytes,
  );
  metrics.composed((clock.monotonicMs() - startedMs) / 1000);
  if (!composed.ok) return composed;
  const { sender, smtpUtf8, text, holes } = composed;
  const { parts, size } = assembled(
    text,
    holes,
    attached.map(({ part }) => part),
  );
  if (size > maxMessageBytes) return { ok: false, ...tooLarge(size, maxMessageBytes) };
  return { ok: true, message: { sender, recipients: waiting(claim), parts, size, smtpUtf8 } };
}

function tooLarge(bytes: number, most: number): Uncomposed {
  const reason = `message too large: ${bytes} bytes, attachments.max_message_bytes allows at most ${most}`;
  return { permanent: true, reason };
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
    ...whose(claim),
    outcome: outcome.kind,
    attempts: claim.attempts + (countsAttempt(outcome) ? 1 : 0),
    ms: Math.round(ms),
    ...("code" in outcome && outcome.code !== undefined ? { code: outcome.code } : {}),
    ...("reason" in outcome ? { error: outcome.reason } : {}),
    ...("error" in outcome ? { error: outcome.error } : {}),
    ...("untilMs" in outcome ? { untilMs: toWallMs(outcome.untilMs, now) } : {}),
  };
}

function countsAttempt(outcome: Outcome): boolean {
  if (outcome.kind === "deferred") return outcome.countsAttempt;
  return outcome.kind === "sent" || outcome.kind === "error" ? outcome.mailFromSent : false;
}

function tellAccount(log: Delivery["log"], whose: Whose, { held, released }: Settled, now: Instant): void {
  if (held) {
    const { reason, untilMs, slowed } = held;
    const pace = slowed === null ? {} : { gapMs: slowed.gapMs, connections: slowed.connections };
    log.accountHeld({ ...whose, reason, untilMs: toWallMs(untilMs, now), ...pace });
  }
  if (released) log.accountReleased(whose);
}

type Whose = { tenant?: string; account: string };

/** The log names no tenant where there is only one. */
function whose({ tenantId, account: { id: account } }: Claim): Whose {
  return tenantId === DEFAULT_TENANT ? { account } : { tenant: tenantId, account };
}
