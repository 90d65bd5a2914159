import assert from "node:assert/strict";
import test from "node:test";
import { crashRun } from "./crash-run.ts";

/** The same each time; the longer runs of `npm run test:crash` draw their own. */
const SEED = "1";

test("a few rounds of random load and kills: nothing is lost, sent twice without excuse, or reported wrong", async (t) => {
  const { ok, text } = await crashRun({ rounds: 4, seed: SEED, say: (line) => t.diagnostic(line) });
  t.diagnostic(text);
  assert.ok(ok, `seed ${SEED}; again: npm run test:crash -- --rounds 4 --seed ${SEED}\n${text}`);
});
