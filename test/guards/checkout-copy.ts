import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { ROOT } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export type CheckoutCopy = {
  folder: string;
  /** Runs `work` while `code` in the file is `without`. */
  mutated<T>(file: string, code: string, without: string, work: () => Promise<T>): Promise<T>;
};

const LEFT_OUT = new Set([".git", ".pnpm", "data"]);

/** The sources as they are now, with workspace links that lead to the copies and dependencies that are the originals. */
export function copyCheckout(): CheckoutCopy {
  const folder = join(temporaryFolder(), "checkout");
  cpSync(ROOT, folder, {
    recursive: true,
    // pnpm's links are relative: as they stand, they lead to the copy's own packages.
    verbatimSymlinks: true,
    filter: (path) => !LEFT_OUT.has(basename(path)),
  });
  symlinkSync(join(ROOT, "node_modules/.pnpm"), join(folder, "node_modules/.pnpm"));

  return {
    folder,
    async mutated(file, code, without, work) {
      const path = join(folder, file);
      const source = readFileSync(path, "utf8");
      if (source.split(code).length !== 2) throw new Error(`${JSON.stringify(code)} is not once in ${file}`);
      writeFileSync(
        path,
        source.replace(code, () => without),
      );
      try {
        return await work();
      } finally {
        writeFileSync(path, source);
      }
    },
  };
}
