import { eventually } from "../support/eventually.ts";
import { startProgram } from "../support/programs.ts";

export type Ran = {
  /** Names of tests, as the file gives them. */
  passed: string[];
  failed: string[];
  /** It took too long, and was killed with all it had started. */
  killed: boolean;
  output: string;
};

const DEADLINE_MS = 120_000;
const ONE_TEST_MS = 60_000;

/** Runs those tests of a file whose names contain one of `names`, in a process group of their own. */
export async function runTests(folder: string, file: string, names: string[]): Promise<Ran> {
  const patterns = names.map((name) => `--test-name-pattern=${escaped(name)}`);
  const options = ["--test-reporter=tap", `--test-timeout=${ONE_TEST_MS}`, ...patterns];
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const program = startProgram(["--import", "tsx", "--test", ...options, file], { cwd: folder, env, group: true });
  const killed = await eventually(() => program.exit(), DEADLINE_MS).then(
    () => false,
    () => true,
  );
  killGroup(program.pid);
  const lines = program.output().split("\n");
  return {
    passed: lines.flatMap((line) => /^\s*ok \d+ - (.*?)( # .*)?$/.exec(line)?.[1] ?? []),
    failed: lines.flatMap((line) => /^\s*not ok \d+ - (.*?)( # .*)?$/.exec(line)?.[1] ?? []),
    killed,
    output: program.output(),
  };
}

function escaped(name: string): string {
  return name.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/** Whatever a failing test left behind. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // nothing was left
  }
}
