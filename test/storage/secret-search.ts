import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import Database from "better-sqlite3";

/** Something that is looked through: its name for people, and what stands there. */
export type Place = { place: string; bytes: Buffer };

/** By name. */
export type Secrets = Record<string, string>;

/** Each secret in each place where it stands, in whatever form: `its name: the place (the form)`. */
export function findings(places: Place[], secrets: Secrets): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => {
    const forms = Object.entries(formsOf(secret)).map(([form, text]) => ({ form, text: Buffer.from(text) }));
    return places.flatMap(({ place, bytes }) => {
      const found = forms.filter(({ text }) => bytes.includes(text)).map(({ form }) => form);
      return found.length === 0 ? [] : [`${name}: ${place} (${found.join(", ")})`];
    });
  });
}

function formsOf(secret: string): Record<string, string> {
  const inUrl = new URL("http://user@host");
  inUrl.password = secret;
  const [base64, shiftedOnce, shiftedTwice] = [0, 1, 2].map((shift) => base64Inside(secret, shift)) as [
    string,
    string,
    string,
  ];
  return {
    "as it is": secret,
    "as JSON": JSON.stringify(secret).slice(1, -1),
    "URL-encoded": encodeURIComponent(secret),
    "as a form": new URLSearchParams([["", secret]]).toString().slice(1),
    "in a URL": inUrl.password,
    hex: Buffer.from(secret).toString("hex"),
    base64,
    // Behind `user:` in a header of Basic, or two NULs of AUTH PLAIN, say.
    "base64, one on": shiftedOnce,
    "base64, two on": shiftedTwice,
    "base64 of URLs": urlSafe(base64),
    "base64 of URLs, one on": urlSafe(shiftedOnce),
    "base64 of URLs, two on": urlSafe(shiftedTwice),
  };
}

/** What of its base64 is the same whatever stands before and after it, `shift` bytes behind a multiple of three. */
function base64Inside(secret: string, shift: number): string {
  const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(secret)]);
  return bytes.toString("base64").slice(Math.ceil((shift * 8) / 6), Math.floor((bytes.length * 8) / 6));
}

function urlSafe(base64: string): string {
  return base64.replaceAll("+", "-").replaceAll("/", "_");
}

/** Names and bytes of all files below the folder, but for those that may hold secrets. */
export function filesBelow(folder: string, except: readonly string[] = []): Place[] {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  const paths = found.map((one) => join(one.parentPath, one.name)).filter((path) => !except.includes(path));
  const names = { place: "the files' names", bytes: Buffer.from(paths.join("\n")) };
  const files = paths.map((path) => ({ place: relative(folder, path), bytes: bytesOf(path) }));
  return [names, ...files];
}

/**
 * Read by another process: where this one has it open as a database, closing it after reading would end the locks. What
 * is gone meanwhile has none.
 */
function bytesOf(path: string): Buffer {
  const { stdout, status } = spawnSync("cat", [path], { maxBuffer: Number.POSITIVE_INFINITY });
  if (status !== 0 && existsSync(path)) throw new Error(`${path} cannot be read`);
  return stdout;
}

/** Every row of every table. */
export function dumpOf(path: string): Place[] {
  const db = new Database(path, { readonly: true });
  try {
    const tables = db.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
    return tables.map((table) => {
      const rows = db.prepare(`SELECT * FROM "${table}"`).raw().all() as unknown[][];
      const texts = rows.flat().map((value) => (Buffer.isBuffer(value) ? value : Buffer.from(`${value}`)));
      return { place: `table ${table}`, bytes: Buffer.concat(texts.flatMap((text) => [text, Buffer.from("\n")])) };
    });
  } finally {
    db.close();
  }
}
