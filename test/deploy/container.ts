import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import type { Socket } from "node:net";
import { dirname, join } from "node:path";
import { eventually } from "../support/eventually.ts";
import type { Exit } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type Image, layerFolder, MOUNT_VIEW, NODE_UID } from "./image.ts";

/**
 * What `docker run --read-only` makes of an image, where no engine is at hand: the exact command and environment, as
 * process 1, as the image's user, on the image's files. Only the network is this machine's.
 */
export type Container = {
  output(): string;
  /** Sends a signal to process 1, or to the one in whose command line this stands. */
  kill(signal: NodeJS.Signals, command?: string): void;
  /** How process 1 ended. */
  exited(): Promise<Exit>;
  /** As `docker exec`: its exit code, and what it printed. */
  exec(command: string[]): { status: number | null; output: string };
};

export type ContainerOptions = {
  /** Else the image's own. */
  command?: string[];
  env?: Record<string, string>;
  /** By their paths in the container: what is there, on this machine. */
  mounts?: Record<string, string>;
};

const running = new Set<ChildProcess>();
// With it goes all that runs in it.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** As a new volume is: empty, and of the owner of the folder that it covers. */
export function newVolume(): string {
  const folder = temporaryFolder();
  chownSync(folder, NODE_UID, NODE_UID);
  return folder;
}

/** A file that is mounted as it is, so its reader is another user than its owner. */
export function mountedFile(text: string): string {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, text);
  chmodSync(file, 0o644);
  return file;
}

export async function startContainer(image: Image, options: ContainerOptions = {}): Promise<Container> {
  const { command = image.command, env = {}, mounts = {} } = options;
  const inImage = withEnvironment({ ...image.env, ...env }, image.workdir);
  const view = temporaryFolder();
  const upper = layerFolder();
  // By hard links: nobody in it may write to the image's files.
  execFileSync("cp", ["--archive", "--link", `${image.files}/.`, upper]);
  const script = [
    MOUNT_VIEW,
    ...Object.entries(mounts).map(([path, here]) => `mount --bind "${here}" "$3${path}"`),
    'mount -t tmpfs tmpfs "$3/tmp"',
    'mount -o remount,ro "$3"',
    'view="$3"; shift 3',
    `exec chroot --userspec=${NODE_UID}:${NODE_UID} --groups=${NODE_UID} "$view" "$@"`,
  ].join("\n");
  for (const [path, here] of Object.entries(mounts)) makeMountPoint(join(upper, path), here);
  const child = spawn(
    "unshare",
    ["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script, "sh"].concat(
      [upper, temporaryFolder(), view],
      inImage(command),
    ),
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  // What a test that failed has left running must not keep its file from ending.
  child.unref();
  for (const stream of [child.stdout, child.stderr] as unknown as Socket[]) {
    stream.unref();
    stream.on("data", (chunk) => (output += chunk));
  }
  running.add(child);
  const { promise: exited, resolve } = Promise.withResolvers<Exit>();
  child.on("close", (code, signal) => {
    running.delete(child);
    resolve({ code, signal });
  });
  const first = await eventually(
    () => firstProcess(child.pid!, image),
    10_000,
    () => `process 1\n${output}`,
  );

  return {
    output: () => output,
    kill: (signal, text) => void process.kill(text === undefined ? first : processIn(first, text), signal),
    exited: () => exited,
    exec: (given) => {
      const user = ["--setuid", String(NODE_UID), "--setgid", String(NODE_UID)];
      const all = ["--target", String(first), "--mount", "--pid", "--root", ...user, ...inImage(given)];
      const { status, stdout, stderr } = spawnSync("nsenter", all, { encoding: "utf8" });
      return { status, output: stdout + stderr };
    },
  };
}

/** A command that has this environment and no other. */
function withEnvironment(env: Record<string, string>, folder: string): (command: string[]) => string[] {
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return (command) => ["/usr/bin/env", "-i", `--chdir=${folder}`, ...assignments, ...command];
}

function makeMountPoint(path: string, here: string): void {
  if (existsSync(path)) return;
  mkdirSync(statSync(here).isDirectory() ? path : dirname(path), { recursive: true });
  if (!statSync(here).isDirectory()) writeFileSync(path, "");
}

/** Its number on this machine, once it is the image's command and not the script that leads there. */
function firstProcess(unshare: number, image: Image): number | null {
  const child = Number(readFileSync(`/proc/${unshare}/task/${unshare}/children`, "utf8").trim());
  const program = readlinkSync(`/proc/${child}/cwd`);
  return child > 0 && program.endsWith(image.workdir) ? child : null;
}

function processIn(first: number, text: string): number {
  const space = readlinkSync(`/proc/${first}/ns/pid`);
  const found = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && isIn(pid, space, text));
  if (found.length !== 1) throw new Error(`${found.length} processes with ${text}`);
  return Number(found[0]);
}

/** Others end while we look. */
function isIn(pid: string, space: string, text: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`) === space && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
  } catch {
    return false;
  }
}
