import { type Chance, chance } from "../support/random.ts";
import type { Kill } from "./killer.ts";

/** What the client does with one call. */
export type SyncAnswer = {
  name: string;
  does: "answer" | "cut before" | "cut within" | "time out";
  status: number;
  headers: Record<string, string>;
  body: string;
  delayMs: number;
  /** By contract §4.3, provided that the answer arrives. */
  acknowledges: boolean;
  /** Of those posted, the ids that the client says it does not know. */
  unknown: string[];
  /** What befalls the reporter in the middle of this call. */
  strike: Kill | null;
};

type Told = Partial<Omit<SyncAnswer, "body">> & { body?: unknown; text?: string };

export const CALM_ANSWER = told("ok", { body: { ok: true } });

/** How the client answers its `number`-th call; everything that contract §4.3 knows, and slow at times. */
export function syncAnswer(seed: string, number: number, ids: string[]): SyncAnswer {
  const random = chance(seed, "sync", number);
  const make = random.weighted([
    [10, TAKES],
    [5, REFUSES],
    [3, ASKS],
  ] as const);
  const answer = random.pick(make)(random, ids);
  const delayMs = random.happens(0.15) ? random.between(50, 900) : 0;
  const strike = random.happens(STRIKE) ? random.pick(["SIGKILL", "SIGTERM", "SIGSTOP, long"] as const) : null;
  return { ...answer, delayMs, strike };
}

const STRIKE = 0.04;

type Make = (random: Chance, ids: string[]) => SyncAnswer;

const TAKES: readonly Make[] = [
  () => CALM_ANSWER,
  () => told("204", { status: 204, text: "" }),
  () => told("empty", { text: "" }),
  (_, ids) => told("list in error", { body: { error: ids.slice(0, 2) } }),
  (_, ids) => told("counts", { status: 201, body: { sent: ids.length, error: 0, deferred: 0 } }),
  () => told("unknown ids in not_found", { body: { ok: true, not_found: ["never-heard-of"] } }),
  (random, ids) => {
    const unknown = ids.filter(() => random.happens(0.2));
    return told("not_found", { body: { ok: true, not_found: unknown }, unknown });
  },
];

const REFUSES: readonly Make[] = [
  () => told("500", { status: 500, text: "oops", acknowledges: false }),
  () => told("Retry-After", { status: 503, headers: { "retry-after": "1" }, text: "", acknowledges: false }),
  () => told("redirect", { status: 307, headers: { location: "/elsewhere" }, text: "", acknowledges: false }),
  () => told("time-out", { does: "time out", acknowledges: false }),
  () => told("cut before", { does: "cut before", acknowledges: false }),
  () => told("cut within", { does: "cut within", body: { ok: true }, acknowledges: false }),
  () => told("not JSON", { text: "<html>ok</html>", acknowledges: false }),
  () => told("a list", { body: [], acknowledges: false }),
  () => told("ok false", { body: { ok: false }, acknowledges: false }),
  () => told("error text", { body: { ok: true, error: "no room" }, acknowledges: false }),
  () => told("nothing said", { body: { hello: "world" }, acknowledges: false }),
];

const ASKS: readonly Make[] = [
  () => told("queued", { body: { ok: true, queued: 3 } }),
  () => told("more_messages", { body: { ok: true, more_messages: true } }),
  () => told("next_sync_after", { body: { ok: true, next_sync_after: Date.now() / 1000 + 2 } }),
];

function told(name: string, { body, text, ...rest }: Told): SyncAnswer {
  return {
    name,
    does: "answer",
    status: 200,
    headers: {},
    body: text ?? JSON.stringify(body ?? {}),
    delayMs: 0,
    acknowledges: true,
    unknown: [],
    strike: null,
    ...rest,
  };
}
