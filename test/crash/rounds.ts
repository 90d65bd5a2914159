import { setTimeout as pause } from "node:timers/promises";
import type { Finding } from "./books.ts";
import { endFaults, overlapFaults } from "./check.ts";
import { connectionFaults } from "./check-connections.ts";
import { limitFaults } from "./check-limit.ts";
import type { Stage } from "./stage.ts";

const ROUND_MS = 2200;
const QUIET_STEP_MS = 500;
const QUIET_DEADLINE_MS = 180_000;

/** A while of load, kills and misbehaviour, and then a look into all books. */
export async function round(stage: Stage, number: number): Promise<Finding[]> {
  const { operator, killer, load } = stage;
  const over = new AbortController();
  const releasing = operator.releaseNowAndThen(over.signal);
  killer.round(number, ROUND_MS);
  await load.round(number, ROUND_MS);
  over.abort();
  await releasing;
  await load.insist();
  await operator.release();
  return check(stage);
}

async function check({ checker, books, fleet, operator }: Stage): Promise<Finding[]> {
  return [
    ...(await checker.pass()),
    ...overlapFaults(books),
    ...endFaults(fleet.generations),
    ...limitFaults(books.mail.begun, operator.bound),
    ...connectionFaults(books),
  ];
}

/** All is well for once, and nobody is killed: everything must end, and be reported. */
export async function quiet(stage: Stage): Promise<Finding[]> {
  const { killer, operator } = stage;
  setCalm(stage, true);
  await killer.done();
  await operator.limit(false);
  const findings = await untilDone(stage);
  if (findings.length > 0) return findings;
  await operator.limit(true);
  setCalm(stage, false);
  return [];
}

function setCalm({ mail, desk }: Stage, calm: boolean): void {
  mail.calm = calm;
  desk.calm = calm;
}

async function untilDone(stage: Stage): Promise<Finding[]> {
  const { operator, service, checker } = stage;
  const startedAt = performance.now();
  while (performance.now() - startedAt < QUIET_DEADLINE_MS) {
    await operator.release();
    // Ends the reporter's back-off.
    await service.post("/commands/run-now");
    await pause(QUIET_STEP_MS);
    if ((await service.pending()) > 0) continue;
    const findings = await check(stage);
    if (findings.length > 0) return findings;
    if (checker.open().length === 0) return checker.whole();
  }
  return [...(await check(stage)), ...neverDone(stage)];
}

function neverDone({ checker }: Stage): Finding[] {
  return checker.open().map((id) => {
    const { status, waiting } = checker.records.get(id) ?? {};
    return { id, what: `never ended or never reported: ${status}, waiting: ${waiting?.reason ?? "no"}` };
  });
}
