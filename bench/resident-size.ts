import { readFileSync, writeFileSync } from "node:fs";

/** How much memory a process has, in bytes: now, and at most since `forgetLargest`, or else since it began. */
export type ResidentSize = { now: number; largest: number };

/** Null where the system does not tell: only Linux has /proc. */
export function residentSize(pid: number): ResidentSize | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return { now: bytesOf(status, "VmRSS"), largest: bytesOf(status, "VmHWM") };
  } catch {
    return null;
  }
}

/** proc_pid_clear_refs(5). Does nothing where there is no such file. */
export function forgetLargest(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
  } catch {}
}

export function inMegabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MB`;
}

function bytesOf(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? Number.NaN) * 1024;
}
