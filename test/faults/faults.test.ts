import assert from "node:assert/strict";
import test from "node:test";
import { startService } from "../support/service.ts";
import { ROWS } from "./cases.ts";
import { PASSWORD } from "./rows/security.ts";
import { CONFIG, runCase } from "./run-case.ts";

test("each fault of a mail server does what it must, and nothing else", { concurrency: true }, async (t) => {
  const service = await startService({ config: CONFIG });
  const cases = ROWS.flatMap((row) => row.cases);
  const playing = cases.map((one, index) =>
    t.test(one.name, async () => {
      const { differences, observed } = await runCase(service, one, index);
      assert.deepEqual(differences, [], JSON.stringify(observed, null, 1));
    }),
  );
  await Promise.all(playing);

  await t.test("each hold is one line of the log, with the reason and until when, and nothing else is", () => {
    const lines = service.processes.dispatchers.flatMap(({ log }) =>
      log.filter(({ event }) => event === "account_held"),
    );
    cases.forEach(({ name, expected }, index) => {
      const ofCase = lines.filter(({ account }) => account === `fault-${index}`);
      const wasHeld = expected.history.includes("held");
      assert.equal(ofCase.length > 0, wasHeld, name);
      for (const { reason, untilMs } of ofCase) assert.ok(reason && untilMs, name);
      assert.equal(new Set(ofCase.map(({ untilMs }) => untilMs)).size, ofCase.length, name);
    });
  });

  await t.test("no end was reported twice, and no password is in any log", () => {
    const items = service.client.calls.flatMap((call) => call.body?.delivery_report ?? []);
    const ends = items.filter((item) => !item.deferred_ts).map(({ id }) => id);
    assert.deepEqual(ends.toSorted(), [...new Set(ends)].toSorted());
    const { api, reporter, dispatchers } = service.processes;
    const logs = [api, reporter, ...dispatchers].map((process) => process.stdout()).join("");
    const secrets = [PASSWORD, Buffer.from(`\0shop@example.com\0${PASSWORD}`).toString("base64")];
    const unquoted = cases.flatMap((one) => one.unquoted ?? []);
    for (const word of [...secrets, ...unquoted]) assert.equal(logs.includes(word), false, word);
  });
  assert.deepEqual(await service.stop(), [0, 0, 0]);
});
