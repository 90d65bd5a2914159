import { rmSync } from "node:fs";
import type { Finding } from "./books.ts";
import { endFaults } from "./check.ts";
import { describeFindings, keepBooks } from "./evidence.ts";
import { quiet, round } from "./rounds.ts";
import { type Stage, startStage } from "./stage.ts";
import { summarize } from "./summary.ts";

export type CrashRun = { rounds: number; seed: string; say(text: string): void };
export type CrashResult = { ok: boolean; text: string };

/** So often everything behaves for a while, and all that waits must come to its end. */
const QUIET_EVERY = 25;
const SAY_EVERY = 5;

/** Runs the whole service under load, kills and misbehaving partners, and compares everybody's books. */
export async function crashRun(run: CrashRun): Promise<CrashResult> {
  const startedAt = performance.now();
  const stage = await startStage(run.seed);
  const { books, checker, folder } = stage;
  const { done, findings } = await allRounds(stage, run);
  const ok = findings.length === 0;
  const seconds = (performance.now() - startedAt) / 1000;
  const summary = summarize(stage, { rounds: done, seed: run.seed, seconds });
  const evidence = ok ? [] : [describeFindings(findings, books, checker.records)];
  if (!ok) keepBooks(folder, books, checker.records);
  await stage.close();
  if (ok) rmSync(folder, { recursive: true, force: true });
  const verdict = ok
    ? "lost 0, reported wrong 0, never reported 0"
    : `FAILED: ${findings.length} findings, seed ${run.seed}; logs, books and database are kept in ${folder}`;
  return { ok, text: [...evidence, summary, verdict].join("\n\n") };
}

/** Ends with the first round that has findings: what follows would only hide them. */
async function allRounds(stage: Stage, { rounds, say }: CrashRun): Promise<{ done: number; findings: Finding[] }> {
  let done = 0;
  try {
    await stage.operator.begin();
    while (done < rounds) {
      const findings = await round(stage, done + 1);
      done += 1;
      if (findings.length > 0) return { done, findings };
      if (done % SAY_EVERY === 0 || done === rounds) say(progress(stage, done));
      if (done % QUIET_EVERY !== 0 && done !== rounds) continue;
      const left = await quiet(stage);
      if (left.length > 0) return { done, findings: left };
      say(`round ${done}: all have ended and are reported`);
    }
    return { done, findings: [] };
  } catch (error) {
    const what = `the test could not go on: ${(error as Error).stack}`;
    return { done, findings: [{ id: null, what }, ...endFaults(stage.fleet.generations)] };
  }
}

function progress({ books, checker }: Stage, round: number): string {
  return `round ${round}: ${books.posts.entries.size} messages, ${checker.open().length} of them under way`;
}
