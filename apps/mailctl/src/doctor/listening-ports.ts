import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** As /proc/net/tcp has it, and its IPv6 twin. */
const LISTENING = "0A";

/** Where a process of this machine listens; null where the machine does not say, or not to us. */
export function listeningPorts(pid: number): number[] | null {
  try {
    const sockets = new Set(readdirSync(`/proc/${pid}/fd`).flatMap((fd) => inodeOf(`/proc/${pid}/fd/${fd}`)));
    const lines = ["tcp", "tcp6"].flatMap((name) =>
      readFileSync(`/proc/${pid}/net/${name}`, "utf8").split("\n").slice(1),
    );
    const ours = lines
      .map((line) => line.trim().split(/\s+/))
      .filter((parts) => parts[3] === LISTENING && sockets.has(parts[9] ?? ""));
    return [...new Set(ours.map((parts) => Number.parseInt(parts[1]!.split(":")[1]!, 16)))];
  } catch {
    return null;
  }
}

/** The number of the socket that a descriptor is; none of what is no socket, or closed meanwhile. */
function inodeOf(path: string): string[] {
  try {
    return [...readlinkSync(path).matchAll(/^socket:\[(\d+)\]$/g)].map((match) => match[1]!);
  } catch {
    return [];
  }
}
