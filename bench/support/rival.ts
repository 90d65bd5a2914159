import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A program of bench/rivals, which answers in lines. */
export type Rival = {
  pid: number;
  /** The next line that it prints. */
  line(): Promise<string>;
  tell(line: string): void;
  end(): void;
};

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export function startRival(program: string, args: string[] = []): Rival {
  const child = spawn(process.execPath, [join(import.meta.dirname, "../rivals", program), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  running.add(child);
  child.on("close", () => running.delete(child));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid ?? 0,
    async line() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`bench/rivals/${program} ended without an answer`);
      return value;
    },
    tell: (line) => void child.stdin.write(`${line}\n`),
    end: () => void child.kill("SIGKILL"),
  };
}

/** Runs it to its end; it prints how many seconds what is to be measured took. */
export async function secondsOf(program: string, args: string[]): Promise<number> {
  return (await answerOf(program, args)).seconds;
}

/** The same, with the CPU that it had meanwhile where it prints that. */
export async function answerOf(program: string, args: string[]): Promise<{ seconds: number; cpuUs: number }> {
  const rival = startRival(program, args);
  const answer = JSON.parse(await rival.line());
  rival.end();
  return answer;
}
