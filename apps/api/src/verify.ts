import type { Context } from "hono";
import { failure, notFound, success, unavailable } from "./answers.ts";
import type { Deps, Env } from "./deps.ts";
import { scopeOf } from "./scope.ts";

const WAIT_MS = 30_000;
/** A look by primary key costs some microseconds; a login costs a good deal more than this. */
const LOOK_EVERY_MS = 50;

/** POST /account/{id}/verify: the question goes through the database, as everything between processes does. */
export async function verify({ store, clock, stopping }: Deps, c: Context<Env>, id: string): Promise<Response> {
  const { accounts } = store.of(scopeOf(c).tenant);
  const key = await accounts.askVerification(id, clock.now());
  if (key === null) return notFound(c, "account");

  const untilMs = clock.monotonicMs() + WAIT_MS;
  const over = AbortSignal.any([stopping, c.req.raw.signal]);
  try {
    while (clock.monotonicMs() < untilMs && !over.aborted) {
      const answer = await accounts.verification(key);
      // Bad Gateway: the one behind us refused, and it is its words that follow.
      if (answer) return answer.ok ? success(c) : failure(c, 502, answer.text);
      await clock.sleep(LOOK_EVERY_MS, over);
    }
  } finally {
    await accounts.dropVerification(key);
  }
  return stopping.aborted ? unavailable(c, "stopping", 5) : unavailable(c, "no dispatcher answered", 5);
}
