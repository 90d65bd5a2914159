import assert from "node:assert/strict";
import test from "node:test";
import { presentedToken, sameToken } from "@async-mail/runtime/token";

function presented(headers: Record<string, string>): string | null {
  return presentedToken((name) => headers[name]);
}

test("the token is in either header, its own first", () => {
  assert.equal(presented({ "x-api-token": "a" }), "a");
  assert.equal(presented({ authorization: "Bearer b" }), "b");
  assert.equal(presented({ authorization: "bearer  b " }), "b");
  assert.equal(presented({ "x-api-token": "a", authorization: "Bearer b" }), "a");
  assert.equal(presented({ authorization: "Basic dTpw" }), null);
  assert.equal(presented({}), null);
});

test("only the same token is the same", () => {
  assert.equal(sameToken("token", "token"), true);
  assert.equal(sameToken("token", "Token"), false);
  assert.equal(sameToken("token", "token2"), false);
  assert.equal(sameToken("", "token"), false);
  assert.equal(sameToken(null, "token"), false);
  assert.equal(sameToken("token", null), false);
  assert.equal(sameToken(null, null), false);
});
