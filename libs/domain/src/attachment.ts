import { decodeBase64 } from "./base64.ts";
import { safeFileName } from "./file-name.ts";
import { readMediaType } from "./media-type.ts";
import type { RawAttachment } from "./message-schema.ts";
import { bad, good, quote, type Read } from "./read.ts";
import { readS3, type StoredS3 } from "./s3-object.ts";
import { type ClientAuth, readClientAuth } from "./tenant.ts";

/** As posted, but for `content`, which is kept apart as bytes: its size stands here instead, in bytes. */
export type StoredAttachment = {
  filename?: string;
  content_type?: string;
  content_id?: string;
  size?: number;
  url?: string;
  storage_path?: string;
  /** How `storage_path` is fetched. */
  fetch_mode?: "endpoint" | "http_url";
  s3?: StoredS3;
  /** In lower case; a hint. */
  content_md5?: string;
  auth?: ClientAuth;
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
const SOURCES = ["content", "url", "storage_path", "s3"] as const;
const BASE64_PREFIX = /^base64:/i;
const MD5 = /^[0-9a-f]{32}$/i;
/** A mark of the field's client in names: the file's digest. */
const MD5_MARK = /\{MD5:([0-9a-f]*)\}/gi;

/** One attachment, its inline content decoded. Contract §6. A fault begins with the field's name where it is one field's. */
export function readAttachment(raw: RawAttachment, maxBytes: number): Read<ReadAttachment> {
  const sources = sourcesOf(raw);
  if (sources.length !== 1)
    return bad(` has ${sources.join(" and ") || "no source"}, one of content, url, storage_path and s3 is wanted`);
  const described = readDescription(raw);
  if (!described.ok) return described;
  const source = readSource(raw, sources[0]!, maxBytes);
  if (!source.ok) return source;
  const auth = readAuth(raw);
  if (!auth.ok) return auth;
  const { stored, warnings } = described.value;
  const { content, ...where } = source.value;
  const login = auth.value === null ? {} : { auth: auth.value };
  return good({ stored: { ...stored, ...where, ...login }, content, warnings });
}

/** Clients that always write all three leave content empty; alone it is an empty file. */
function sourcesOf(raw: RawAttachment): (typeof SOURCES)[number][] {
  const given = SOURCES.filter((source) => raw[source] !== null && raw[source] !== undefined);
  return given.length > 1 && raw.content === "" ? given.filter((source) => source !== "content") : given;
}

type Source = Pick<StoredAttachment, "size" | "url" | "storage_path" | "fetch_mode" | "s3"> &
  Pick<ReadAttachment, "content">;

function readSource(raw: RawAttachment, source: keyof RawAttachment, maxBytes: number): Read<Source> {
  if (source === "content") return under(".content", readContent(raw.content!, maxBytes));
  if (source === "url") {
    const fault = faultOfUrl(raw.url!);
    return fault === null ? good({ url: raw.url!, content: null }) : bad(`.url: ${fault}`);
  }
  if (source === "storage_path") return under(".storage_path", readStoragePath(raw, maxBytes));
  const read = readS3(raw.s3!);
  return read.ok ? good({ s3: read.value, content: null }) : bad(`.s3.${read.fault}`);
}

function under<T>(field: string, read: Read<T>): Read<T> {
  return read.ok ? read : bad(`${field}: ${read.fault}`);
}

/** Never a path on this machine: what is neither base64 nor an address, the tenant's client is asked for. */
function readStoragePath({ storage_path, fetch_mode }: RawAttachment, maxBytes: number): Read<Source> {
  const path = storage_path!;
  const mode = fetch_mode ?? modeOf(path);
  if (mode === "base64") return readContent(path.replace(BASE64_PREFIX, ""), maxBytes);
  const fault = mode === "http_url" ? faultOfUrl(path) : faultOfPath(path);
  return fault === null ? good({ storage_path: path, fetch_mode: mode, content: null }) : bad(fault);
}

function modeOf(path: string): "base64" | "http_url" | "endpoint" {
  if (BASE64_PREFIX.test(path)) return "base64";
  return /^https?:\/\//i.test(path) ? "http_url" : "endpoint";
}

/** The client's own name for it. */
function faultOfPath(path: string): string | null {
  if (path.trim() === "") return "is empty";
  if (path.length > LONGEST_URL) return `longer than ${LONGEST_URL} characters`;
  return path.isWellFormed() ? null : "not well-formed Unicode";
}

function readAuth({ auth }: RawAttachment): Read<ClientAuth | null> {
  if (!auth) return good(null);
  const faults: string[] = [];
  const read = readClientAuth(auth, ["auth"], (loc, msg) => faults.push(`.${loc.join(".")}: ${msg}`));
  return faults.length === 0 ? good(read.method === "none" ? null : read) : bad(faults[0]!);
}

function readContent(text: string, maxBytes: number): Read<Source> {
  const content = decodeBase64(text);
  if (content === null) return bad("not base64");
  if (content.length > maxBytes) return bad(tooManyBytes(content.length, maxBytes));
  return good({ size: content.length, content });
}

/** In words; null: how many they are is not known. */
export function tooManyBytes(bytes: number | null, maxBytes: number): string {
  const found = bytes === null ? "it is larger" : `it has ${bytes} bytes`;
  return `${found}, attachments.max_bytes allows at most ${maxBytes}`;
}

type Description = { stored: StoredAttachment; warnings: string[] };

function readDescription(raw: RawAttachment): Read<Description> {
  const { filename, content_id } = raw;
  const stored: StoredAttachment = {};
  const warnings: string[] = [];
  const name = safeFileName(withoutMark(filename ?? ""));
  if (name !== "") stored.filename = name;
  const md5 = md5Of(raw);
  if (md5 !== null) stored.content_md5 = md5;
  else if (raw.content_md5) warnings.push(".content_md5 ignored: not 32 hexadecimal digits");
  const typeField = raw.content_type ? "content_type" : "mime_type";
  const type = raw[typeField];
  if (type) {
    const read = readMediaType(type);
    if (!read.ok) return bad(`.${typeField}: ${read.fault}`);
    stored.content_type = read.value.type;
    if (read.value.name !== null) warnings.push(`.${typeField}: ${takeName(read.value.name, stored)}`);
  }
  if (content_id) {
    const bare = content_id.trim().replace(/^<(.*)>$/s, "$1");
    if (!CONTENT_ID.test(bare)) return bad(`.content_id: ${quote(content_id)} is not one word of printable ASCII`);
    stored.content_id = bare;
  }
  return good({ stored, warnings });
}

/** As given, or as the names say. */
function md5Of({ content_md5, filename, storage_path }: RawAttachment): string | null {
  const marked = [filename, storage_path].map((name) => /\{MD5:([0-9a-f]{32})\}/i.exec(name ?? "")?.[1]);
  const given = content_md5?.trim() || marked.find((found) => found !== undefined);
  return given !== undefined && MD5.test(given) ? given.toLowerCase() : null;
}

function withoutMark(name: string): string {
  return name.replace(MD5_MARK, "");
}

/** What becomes of a type's own name, in words. */
function takeName(name: string, stored: StoredAttachment): string {
  if (stored.filename !== undefined) return "name ignored: filename is given";
  const safe = safeFileName(name);
  if (safe === "") return "name ignored: it is empty";
  stored.filename = safe;
  return "name taken for the filename, which is not given";
}

function faultOfUrl(url: string): string | null {
  if (url.length > LONGEST_URL) return `longer than ${LONGEST_URL} characters`;
  return isHttpUrl(url) ? null : "not an http or https address";
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null && (url.protocol === "http:" || url.protocol === "https:") && !/[\x00-\x20\x7f]/.test(text.trim())
  );
}

/** The name under which it goes out: its own, else the last segment of where it is, else `attachment`. */
export function attachmentName(attachment: StoredAttachment): string {
  const given = safeFileName(attachment.filename ?? "");
  return given !== "" ? given : safeFileName(withoutMark(placeOf(attachment))) || "attachment";
}

function placeOf({ url, storage_path, fetch_mode, s3 }: StoredAttachment): string {
  if (storage_path !== undefined) return fetch_mode === "http_url" ? decodedPath(storage_path) : pathOnly(storage_path);
  return url === undefined ? (s3?.key ?? "") : decodedPath(url);
}

/** A query may be a secret, and is no name. */
function pathOnly(path: string): string {
  return path.replace(/\?.*$/s, "");
}

function decodedPath(url: string): string {
  const path = URL.parse(url)?.pathname ?? "";
  try {
    return decodeURIComponent(path.slice(path.lastIndexOf("/") + 1));
  } catch {
    return path; // an escape that is no UTF-8 stays as it was written
  }
}
