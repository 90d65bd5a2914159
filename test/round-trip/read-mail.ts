import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { domainToASCII, fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type AddressObject, simpleParser } from "mailparser";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** A mail as a reader shows it. */
export type ReadMail = {
  /** Of all header fields, sorted. */
  names: string[];
  subject: string;
  from: ReadAddress[];
  to: ReadAddress[];
  cc: ReadAddress[];
  /** Those that begin with X-; null: the reader does not decode them. */
  headers: Record<string, string> | null;
  text: string | null;
  html: string | null;
  attachments: ReadAttachment[];
};

/** The domain in ASCII. */
export type ReadAddress = [name: string, address: string];

export type ReadAttachment = { name: string | null; type: string; cid: string | null; sha256: string };

export async function readByMailparser(raw: Buffer): Promise<ReadMail> {
  const mail = await simpleParser(raw, { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true });
  const lines = mail.headerLines.map(({ line }) => line.slice(0, line.indexOf(":")));
  return {
    names: lines.toSorted(),
    subject: mail.subject ?? "",
    from: addresses(mail.from),
    to: addresses(mail.to),
    cc: addresses(mail.cc),
    headers: null,
    text: mail.text ?? null,
    html: mail.html || null,
    attachments: mail.attachments.map(({ filename = null, contentType, cid = null, content }) => ({
      name: filename,
      type: contentType,
      cid,
      sha256: sha256(content),
    })),
  };
}

/** Null where there is no python3. */
export async function readByPython(mails: ReadonlyMap<string, Buffer>): Promise<Map<string, ReadMail> | null> {
  const folder = temporaryFolder();
  for (const [id, raw] of mails) writeFileSync(join(folder, `${id}.eml`), raw);
  const script = fileURLToPath(new URL("read-mail.py", import.meta.url));
  try {
    const { stdout } = await promisify(execFile)("python3", [script, folder], { maxBuffer: 2 ** 28 });
    const read: Record<string, ReadMail & { defects: string[] }> = JSON.parse(stdout);
    return new Map(Object.entries(read).map(([file, mail]) => [file.replace(/\.eml$/, ""), readable(mail)]));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Python finds no fault with a mail of ours. */
function readable({ defects, ...mail }: ReadMail & { defects: string[] }): ReadMail {
  if (defects.length > 0) throw new Error(`python: ${defects.join(", ")}`);
  return mail;
}

export function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function addresses(field: AddressObject | AddressObject[] | undefined): ReadAddress[] {
  return [field ?? []]
    .flat()
    .flatMap(({ value }) => value.map(({ name, address = "" }) => [name, inAscii(address)] as ReadAddress));
}

/** mailparser shows punycode as letters. */
function inAscii(address: string): string {
  const at = address.lastIndexOf("@");
  return `${address.slice(0, at)}@${domainToASCII(address.slice(at + 1))}`;
}
