import { createHash } from "node:crypto";
import { link, open, readFile, rm } from "node:fs/promises";

/** Beside the database, so that it is found, kept and backed up with it. */
export function tokenFile(dbPath: string): string {
  return `${dbPath}.token`;
}

/**
 * The token of an api without a configured one: made at the first start, read at every other. Several processes may
 * start at once: each writes a file of its own, and the first to link it under the name has made the token of all.
 */
export async function keptToken(
  dbPath: string,
  fresh: string,
): Promise<{ token: string; file: string; made: boolean }> {
  const file = tokenFile(dbPath);
  const kept = await readToken(file);
  if (kept !== null) return { token: kept, file, made: false };

  const draft = `${file}.${createHash("sha256").update(fresh).digest("hex").slice(0, 16)}`;
  await writeSynced(draft, `${fresh}\n`);
  try {
    await link(draft, file);
    return { token: fresh, file, made: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return { token: (await readToken(file)) ?? fresh, file, made: false };
  } finally {
    await rm(draft, { force: true });
  }
}

async function readToken(file: string): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  const token = text.trim();
  if (token === "") throw new Error(`${file} is empty, wanted: the API token; delete the file to have one made`);
  return token;
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
