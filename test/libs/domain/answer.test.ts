import assert from "node:assert/strict";
import { test } from "node:test";
import { quietUntilMs, readAnswer } from "@async-mail/domain/report";

type Verdict = "acknowledged" | "failure";

const ANSWERS: [status: number, body: string, verdict: Verdict][] = [
  // a status outside 2xx
  [199, '{"ok":true}', "failure"],
  [301, '{"ok":true}', "failure"],
  [302, "", "failure"],
  [304, "", "failure"],
  [400, '{"ok":true}', "failure"],
  [401, "", "failure"],
  [429, '{"ok":true}', "failure"],
  [500, '{"ok":true}', "failure"],
  [503, "", "failure"],
  // 204 or an empty body
  [204, "", "acknowledged"],
  [204, "whatever", "acknowledged"],
  [200, "", "acknowledged"],
  [200, " \r\n", "acknowledged"],
  [299, "", "acknowledged"],
  // not a JSON object
  [200, "OK", "failure"],
  [200, "<html>", "failure"],
  [200, '{"ok":true', "failure"],
  [200, "[]", "failure"],
  [200, "null", "failure"],
  [200, "true", "failure"],
  [200, "1", "failure"],
  [200, '"ok"', "failure"],
  // ok false, or error a text, whatever else it says
  [200, '{"ok":false}', "failure"],
  [200, '{"ok":false,"queued":3,"not_found":[]}', "failure"],
  [200, '{"error":"no database"}', "failure"],
  [200, '{"ok":true,"error":"no database"}', "failure"],
  [200, '{"error":"x","sent":1}', "failure"],
  // what acknowledges
  [200, '{"ok":true}', "acknowledged"],
  [201, '{"ok":true,"more":1}', "acknowledged"],
  [200, '{"ok":true,"error":null}', "acknowledged"],
  [200, '{"error":[]}', "acknowledged"],
  [200, '{"error":["m1"]}', "acknowledged"],
  [200, '{"not_found":["m1"]}', "acknowledged"],
  [200, '{"queued":0}', "acknowledged"],
  [200, '{"sent":3}', "acknowledged"],
  [200, '{"error":2}', "acknowledged"],
  [200, '{"deferred":1}', "acknowledged"],
  // nothing that acknowledges
  [200, "{}", "failure"],
  [200, '{"ok":"true"}', "failure"],
  [200, '{"ok":1}', "failure"],
  [200, '{"ok":null}', "failure"],
  [200, '{"message":"thanks"}', "failure"],
  [200, '{"queued":"3"}', "failure"],
  [200, '{"error":{"code":1}}', "failure"],
  [200, '{"error":null}', "failure"],
  [200, '{"not_found":"m1"}', "failure"],
];

for (const [status, body, verdict] of ANSWERS) {
  test(`answer: ${status} ${JSON.stringify(body)} is ${verdict}`, () => {
    assert.equal(readAnswer(status, body, "body").acknowledged, verdict === "acknowledged");
  });
}

test("answer: with `status` every 2xx acknowledges and nothing else does", () => {
  for (const [status, body] of ANSWERS) {
    assert.equal(readAnswer(status, body, "status").acknowledged, status >= 200 && status < 300, `${status} ${body}`);
  }
});

test("answer: what the client asks for", () => {
  const body = '{"ok":true,"queued":3,"more_messages":true,"next_sync_after":1800000000.5,"not_found":["m1",2]}';
  const asked = {
    acknowledged: true,
    queued: 3,
    moreMessages: true,
    nextSyncAfterMs: 1_800_000_000_500,
    notFound: ["m1", "2"],
  };
  assert.deepEqual(readAnswer(200, body, "body"), asked);
  assert.deepEqual(readAnswer(200, body, "status"), asked);
});

test("answer: wishes of the wrong kind are none", () => {
  const body = '{"ok":true,"queued":-3,"more_messages":"yes","next_sync_after":"soon","not_found":"m1"}';
  const none = { acknowledged: true, queued: 0, moreMessages: false, nextSyncAfterMs: null, notFound: [] };
  for (const text of [body, "", '{"ok":true}']) assert.deepEqual(readAnswer(200, text, "body"), none);
});

test("answer: a failure says why", () => {
  const reasonOf = (status: number, body: string) => {
    const answer = readAnswer(status, body, "body");
    return !answer.acknowledged && answer.reason;
  };
  assert.equal(reasonOf(503, ""), "HTTP 503");
  assert.equal(reasonOf(200, "<html>"), 'not a JSON object: "<html>"');
  assert.equal(reasonOf(200, '{"error":"no database"}'), 'error "no database"');
  assert.equal(reasonOf(200, '{"ok":false}'), "ok is false");
  assert.equal(reasonOf(200, "{}"), 'nothing acknowledges: "{}"');
});

test("answer: next_sync_after counts for at most 24 hours, on the steady clock", () => {
  const now = { wallMs: 1_000_000_000, steadyMs: 500 };
  const day = 86_400_000;
  assert.equal(quietUntilMs(null, now), null);
  assert.equal(quietUntilMs(now.wallMs, now), null);
  assert.equal(quietUntilMs(now.wallMs - 1, now), null);
  assert.equal(quietUntilMs(now.wallMs + 1000, now), 1500);
  assert.equal(quietUntilMs(now.wallMs + day, now), 500 + day);
  assert.equal(quietUntilMs(now.wallMs + 5 * day, now), 500 + day);
  assert.equal(quietUntilMs(Number.POSITIVE_INFINITY, now), 500 + day);
});
