import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { bootReading, createClock, isoTime, toDate } from "@async-mail/runtime/clock";

test("steady time is monotonic time moved by the offset, in whole milliseconds", () => {
  const clock = createClock(1_000_000);
  const before = clock.monotonicMs();
  const { wallMs, steadyMs } = clock.now();
  const after = clock.monotonicMs();
  assert.ok(Number.isInteger(wallMs) && Number.isInteger(steadyMs));
  assert.ok(steadyMs >= Math.floor(before + 1_000_000) && steadyMs <= after + 1_000_000);
  assert.ok(Math.abs(wallMs - Date.now()) < 1000);
});

test("all processes of a machine read the same monotonic clock and the same boot", () => {
  const script = `import { bootReading } from "@async-mail/runtime/clock"; console.log(JSON.stringify(bootReading()));`;
  const before = bootReading();
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  const other = JSON.parse(stdout);
  const after = bootReading();
  assert.equal(other.bootId, before.bootId);
  assert.ok(other.monotonicMs >= before.monotonicMs && other.monotonicMs <= after.monotonicMs);
});

test("a sleep ends early when aborted, at once when it already was, and does not throw", async () => {
  const clock = createClock(0);
  const cut = new AbortController();
  const slept = clock.sleep(60_000, cut.signal);
  cut.abort();
  await slept;
  await clock.sleep(60_000, cut.signal);
});

test("a sleep lasts at least as long as asked", async () => {
  const clock = createClock(0);
  const before = clock.monotonicMs();
  await clock.sleep(20);
  assert.ok(clock.monotonicMs() - before >= 19);
});

test("a sleep longer than a timer can take does not end at once", async () => {
  const clock = createClock(0);
  const cut = new AbortController();
  let ended = false;
  const slept = clock.sleep(Number.POSITIVE_INFINITY, cut.signal).then(() => {
    ended = true;
  });
  await clock.sleep(20);
  assert.equal(ended, false);
  cut.abort();
  await slept;
});

test("wall times are shown as ISO 8601 in UTC", () => {
  assert.equal(isoTime(1_800_000_000_123), "2027-01-15T08:00:00.123Z");
  assert.equal(toDate(1_800_000_000_123).getTime(), 1_800_000_000_123);
});
