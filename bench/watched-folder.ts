import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const LOOK_MS = 200;

/** Looks every now and then; `stop` answers the most it found, in bytes. */
export function watchFolder(folder: string): { stop(): number } {
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, bytesIn(folder));
  }, LOOK_MS);
  return {
    stop: () => {
      clearInterval(timer);
      return most;
    },
  };
}

function bytesIn(folder: string): number {
  try {
    const files = readdirSync(folder).map((name) => statSync(join(folder, name), { throwIfNoEntry: false }));
    return files.reduce((sum, file) => sum + (file?.size ?? 0), 0);
  } catch {
    return 0; // nothing was fetched yet
  }
}
