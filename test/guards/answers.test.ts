import assert from "node:assert/strict";
import { test } from "node:test";
import { readAnswer } from "@async-mail/domain/report";

test("204 acknowledges, whatever comes with it", () => {
  for (const body of ["whatever", '{"ok":false}', "[]"]) assert.equal(readAnswer(204, body, "body").acknowledged, true);
});
