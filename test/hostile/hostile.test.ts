import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createComposer } from "@async-mail/dispatcher/composer";
import { hostileRun } from "./hostile-run.ts";

const composer = createComposer({ threads: 2, onError: (error) => assert.fail(String(error)) });
after(() => composer.close());

// `npm run test:hostile` does hundreds of times more.
const CASES = 400;

test("hostile input is refused by field and reason, or arrives as it was meant and as nothing else", async () => {
  const { accepted, refused, failure } = await hostileRun(composer, CASES, 4);
  assert.equal(failure, null);
  assert.ok(accepted > CASES / 10, `${accepted} were accepted`);
  assert.ok(refused.size > 10, `they were refused for ${refused.size} reasons`);
});
