import { execFileSync } from "node:child_process";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./temporary-folder.ts";

/** A file system of its own, in memory. */
export type SmallDisk = {
  folder: string;
  freeBytes(): number;
  /** Something else's file takes so much, or all but so much when negative. */
  putBallast(bytes: number): void;
  removeBallast(): void;
  remove(): void;
};

/** Why a test that needs one is skipped. */
export const NO_MOUNT = "mounting is not permitted here: only root may, and not in every container";

/** Null where this machine does not permit mounting. */
export function smallDisk(megabytes: number): SmallDisk | null {
  const folder = temporaryFolder();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=700`, "tmpfs", folder], { stdio: "ignore" });
  } catch {
    return null;
  }
  const remove = () => {
    process.off("exit", remove);
    // Lazily: what a killed process has not closed yet must not keep it.
    execFileSync("umount", ["--lazy", folder], { stdio: "ignore" });
  };
  // A mount left behind outlives whoever made it.
  process.on("exit", remove);
  const ballast = join(folder, "ballast");
  const freeBytes = () => {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  };
  return {
    folder,
    freeBytes,
    putBallast: (bytes) => writeFileSync(ballast, Buffer.alloc(bytes >= 0 ? bytes : freeBytes() + bytes)),
    removeBallast: () => rmSync(ballast, { force: true }),
    remove,
  };
}
