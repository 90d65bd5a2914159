import { decodeBase64 } from "./base64.ts";
import { safeFileName } from "./file-name.ts";
import { readMediaType } from "./media-type.ts";
import type { RawAttachment } from "./message-schema.ts";
import { bad, good, quote, type Read } from "./read.ts";
import { readS3, type StoredS3 } from "./s3-object.ts";

/** As posted, but for `content`, which is kept apart as bytes: its size stands here instead, in bytes. */
export type StoredAttachment = {
  filename?: string;
  content_type?: string;
  content_id?: string;
  size?: number;
  url?: string;
  s3?: StoredS3;
};

export type ReadAttachment = {
  stored: StoredAttachment;
  content: Uint8Array | null;
  /** Each begins with the field's name. */
  warnings: string[];
};

/** As most servers take them; presigned ones have some thousand. */
const LONGEST_URL = 16_384;
/** RFC 2392: an addr-spec between angle brackets; in practice any printable word that is no encoded one. */
const CONTENT_ID = /^(?=[\x21-\x3b\x3d\x3f-\x7e]{1,500}$)(?!.*=\?.*\?=)/;
const SOURCES = ["content", "url", "s3"] as const;

/** One attachment, its inline content decoded. Contract §6. A fault begins with the field's name where it is one field's. */
export function readAttachment(raw: RawAttachment, maxBytes: number): Read<ReadAttachment> {
  const sources = sourcesOf(raw);
  if (sources.length !== 1)
    return bad(` has ${sources.join(" and ") || "no source"}, one of content, url and s3 is wanted`);
  const described = readDescription(raw);
  if (!described.ok) return described;
  const source = readSource(raw, sources[0]!, maxBytes);
  if (!source.ok) return source;
  const { stored, warnings } = described.value;
  const { content, ...where } = source.value;
  return good({ stored: { ...stored, ...where }, content, warnings });
}

/** Clients that always write all three leave content empty; alone it is an empty file. */
function sourcesOf(raw: RawAttachment): (typeof SOURCES)[number][] {
  const given = SOURCES.filter((source) => raw[source] !== null && raw[source] !== undefined);
  return given.length > 1 && raw.content === "" ? given.filter((source) => source !== "content") : given;
}

type Source = Pick<StoredAttachment, "size" | "url" | "s3"> & Pick<ReadAttachment, "content">;

function readSource({ content, url, s3 }: RawAttachment, source: keyof RawAttachment, maxBytes: number): Read<Source> {
  if (source === "content") return readContent(content!, maxBytes);
  if (source === "url") return readUrl(url!);
  const read = readS3(s3!);
  return read.ok ? good({ s3: read.value, content: null }) : bad(`.s3.${read.fault}`);
}

function readContent(text: string, maxBytes: number): Read<Source> {
  const content = decodeBase64(text);
  if (content === null) return bad(".content: not base64");
  if (content.length > maxBytes) return bad(`.content: ${tooManyBytes(content.length, maxBytes)}`);
  return good({ size: content.length, content });
}

/** In words; null: how many they are is not known. */
export function tooManyBytes(bytes: number | null, maxBytes: number): string {
  const found = bytes === null ? "it is larger" : `it has ${bytes} bytes`;
  return `${found}, attachments.max_bytes allows at most ${maxBytes}`;
}

type Description = { stored: StoredAttachment; warnings: string[] };

function readDescription({ filename, content_type, content_id }: RawAttachment): Read<Description> {
  const stored: StoredAttachment = {};
  const warnings: string[] = [];
  const name = safeFileName(filename ?? "");
  if (name !== "") stored.filename = name;
  if (content_type) {
    const read = readMediaType(content_type);
    if (!read.ok) return bad(`.content_type: ${read.fault}`);
    stored.content_type = read.value.type;
    if (read.value.name !== null) warnings.push(`.content_type: ${takeName(read.value.name, stored)}`);
  }
  if (content_id) {
    const bare = content_id.trim().replace(/^<(.*)>$/s, "$1");
    if (!CONTENT_ID.test(bare)) return bad(`.content_id: ${quote(content_id)} is not one word of printable ASCII`);
    stored.content_id = bare;
  }
  return good({ stored, warnings });
}

/** What becomes of a type's own name, in words. */
function takeName(name: string, stored: StoredAttachment): string {
  if (stored.filename !== undefined) return "name ignored: filename is given";
  const safe = safeFileName(name);
  if (safe === "") return "name ignored: it is empty";
  stored.filename = safe;
  return "name taken for the filename, which is not given";
}

function readUrl(url: string): Read<Source> {
  if (url.length > LONGEST_URL) return bad(`.url: longer than ${LONGEST_URL} characters`);
  return isHttpUrl(url) ? good({ url, content: null }) : bad(".url: not an http or https address");
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null && (url.protocol === "http:" || url.protocol === "https:") && !/[\x00-\x20\x7f]/.test(text.trim())
  );
}

/** The name under which it goes out: its own, else the last segment of where it is, else `attachment`. */
export function attachmentName({ filename = "", url, s3 }: StoredAttachment): string {
  const given = safeFileName(filename);
  if (given !== "") return given;
  return safeFileName(url === undefined ? (s3?.key ?? "") : decodedPath(url)) || "attachment";
}

function decodedPath(url: string): string {
  const path = URL.parse(url)?.pathname ?? "";
  try {
    return decodeURIComponent(path.slice(path.lastIndexOf("/") + 1));
  } catch {
    return path; // an escape that is no UTF-8 stays as it was written
  }
}
