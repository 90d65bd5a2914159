import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** As /proc/net/tcp has it, and its IPv6 twin (proc_net_tcp in the kernel's documentation). */
const LISTENING = "0A";

/** Where a process of this machine answers HTTP, as URLs without a path; null where the machine does not say, or not to us. */
export function listeningUrls(pid: number): string[] | null {
  try {
    const sockets = new Set(readdirSync(`/proc/${pid}/fd`).flatMap((fd) => inodeOf(`/proc/${pid}/fd/${fd}`)));
    const lines = ["tcp", "tcp6"].flatMap((name) =>
      readFileSync(`/proc/${pid}/net/${name}`, "utf8").split("\n").slice(1),
    );
    const ours = lines
      .map((line) => line.trim().split(/\s+/))
      .filter((parts) => parts[3] === LISTENING && sockets.has(parts[9] ?? ""));
    return [...new Set(ours.map((parts) => urlOf(parts[1]!)))];
  } catch {
    return null;
  }
}

/** The number of the socket that a descriptor is; none of what is no socket, or closed meanwhile. Throws where we may not see it. */
function inodeOf(path: string): string[] {
  try {
    return [...readlinkSync(path).matchAll(/^socket:\[(\d+)\]$/g)].map((match) => match[1]!);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** `0100007F:1F90`: the address in words of four bytes, each as the machine has it in memory, and the port. */
function urlOf(text: string): string {
  const [address = "", port = ""] = text.split(":");
  const bytes = address.match(/.{8}/g)!.flatMap((word) => word.match(/../g)!.reverse());
  return `http://${hostOf(bytes)}:${Number.parseInt(port, 16)}`;
}

/** Nobody connects to 0.0.0.0 or to ::. */
function hostOf(bytes: string[]): string {
  const any = bytes.every((byte) => byte === "00");
  if (bytes.length === 4) return any ? "127.0.0.1" : bytes.map((byte) => Number.parseInt(byte, 16)).join(".");
  return any ? "[::1]" : `[${bytes.join("").match(/.{4}/g)!.join(":")}]`;
}
