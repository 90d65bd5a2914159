import assert from "node:assert/strict";
import test from "node:test";
import { FILE_FAULTS } from "../file-faults/cases.ts";
import type { FileFault } from "../file-faults/file-fault.ts";
import { differences } from "../file-faults/judge.ts";
import { play, startStage } from "../file-faults/run-case.ts";

test("each misbehaviour of a server of files does what it must, and nothing else", { concurrency: true }, async (t) => {
  const stage = await startStage();
  const { service, inner } = stage;

  const playOne = (one: FileFault, id: string) =>
    t.test(one.name, async () => {
      const played = await play(stage, one, id);
      assert.deepEqual(differences(one.expected, played), [], JSON.stringify(played.record, null, 1));
    });
  const atUrl = FILE_FAULTS.filter(({ from }) => from === "url").map((one, i) => playOne(one, `url-${i}`));
  // One after another: what the S3 server does next is one list.
  for (const [i, one] of FILE_FAULTS.filter(({ from }) => from === "s3").entries()) await playOne(one, `s3-${i}`);
  await Promise.all(atUrl);

  await t.test("no mail went out twice, and no host was reached that is not allowed", () => {
    const to = service.smtp.messages.flatMap((mail) => mail.to);
    assert.deepEqual(to.toSorted(), [...new Set(to)].toSorted());
    assert.equal(inner.connections.total, 0);
  });
  await stage.stop();
});
