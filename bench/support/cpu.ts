import { readFileSync } from "node:fs";

/** What the kernel counts in: sysconf(_SC_CLK_TCK) is 100 on every Linux that Node runs on. */
const TICK_US = 10_000;

/** Microseconds of CPU that a process, all its threads together, has had so far; NaN where there is no /proc. */
export function cpuMicroseconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_US;
  } catch {
    return Number.NaN;
  }
}
