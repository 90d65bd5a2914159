import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ehloName } from "@async-mail/dispatcher/ehlo-name";

describe("the name that servers are greeted with", () => {
  it("is the configured one, else the machine's full name", async () => {
    assert.deepEqual(await ehloName("out.example.com", "box"), { name: "out.example.com", guessed: false });
    assert.deepEqual(await ehloName(null, "box.example.com"), { name: "box.example.com", guessed: false });
  });

  it("is never an address in brackets, and says when it is made up", async () => {
    const made = await ehloName(null, "no-such-machine-here");
    assert.deepEqual(made, { name: "no-such-machine-here.localdomain", guessed: true });
  });
});
