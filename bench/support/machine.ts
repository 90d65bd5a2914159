import { cpus, totalmem } from "node:os";

/** What the figures were measured on. */
export function machine(): string {
  const [first] = cpus();
  const gigabytes = Math.round(totalmem() / 1024 ** 3);
  return `${cpus().length} cores (${first?.model.trim() ?? "unknown"}), ${gigabytes} GB, ${process.platform}, Node ${process.versions.node}`;
}
