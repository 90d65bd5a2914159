import { decodeBase64 } from "./base64.ts";
import type { RawAttachment } from "./message-schema.ts";
import { bad, good, oneLine, quote, type Read } from "./read.ts";

/** As posted, but for `content`, which is kept apart as bytes: its size stands here instead, in bytes. */
export type StoredAttachment = {
  filename?: string;
  content_type?: string;
  content_id?: string;
  size?: number;
  url?: string;
  s3?: { bucket: string; key: string; version_id?: string };
};

export type ReadAttachment = { stored: StoredAttachment; content: Uint8Array | null };

const TOKEN = "[\\w!#$%&'*+.^`|~-]+";
const PARAMETER = `;\\s*${TOKEN}=(?:${TOKEN}|"[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*")`;
/** RFC 2045 §5.1, with its parameters. */
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}(?:\\s*${PARAMETER})*\\s*;?$`);
/** RFC 2392: an addr-spec between angle brackets; in practice any printable word. */
const CONTENT_ID = /^[\x21-\x3b\x3d\x3f-\x7e]{1,500}$/;
const SOURCES = ["content", "url", "s3"] as const;

/** One attachment, its inline content decoded. Contract §6. A fault begins with the field's name where it is one field's. */
export function readAttachment(raw: RawAttachment): Read<ReadAttachment> {
  const sources = SOURCES.filter((source) => raw[source] !== null && raw[source] !== undefined);
  if (sources.length !== 1)
    return bad(` has ${sources.join(" and ") || "no source"}, one of content, url and s3 is wanted`);
  const described = readDescription(raw);
  if (!described.ok) return described;
  const stored = described.value;
  if (typeof raw.content === "string") {
    const content = decodeBase64(raw.content);
    return content === null
      ? bad(".content: not base64")
      : good({ stored: { ...stored, size: content.length }, content });
  }
  if (typeof raw.url === "string") {
    return isHttpUrl(raw.url)
      ? good({ stored: { ...stored, url: raw.url }, content: null })
      : bad(".url: not an http or https address");
  }
  const { bucket, key, version_id } = raw.s3!;
  if (bucket === "" || key === "") return bad(`.s3.${bucket === "" ? "bucket" : "key"}: empty`);
  return good({ stored: { ...stored, s3: { bucket, key, ...(version_id ? { version_id } : {}) } }, content: null });
}

function readDescription({ filename, content_type, content_id }: RawAttachment): Read<StoredAttachment> {
  const stored: StoredAttachment = {};
  if (filename) stored.filename = oneLine(filename);
  if (content_type) {
    if (!MEDIA_TYPE.test(content_type.trim())) return bad(`.content_type: ${quote(content_type)} is not a media type`);
    // RFC 2046 §5.1: its bytes would be read as parts, and what they are not made of would vanish.
    if (/^multipart\//i.test(content_type.trim()))
      return bad(`.content_type: ${quote(content_type)} is no type of one file`);
    stored.content_type = content_type.trim();
  }
  if (content_id) {
    const bare = content_id.trim().replace(/^<(.*)>$/s, "$1");
    if (!CONTENT_ID.test(bare)) return bad(`.content_id: ${quote(content_id)} is not one word of printable ASCII`);
    stored.content_id = bare;
  }
  return good(stored);
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null && (url.protocol === "http:" || url.protocol === "https:") && !/[\x00-\x20\x7f]/.test(text.trim())
  );
}

/** The name under which it goes out: its own, else the last segment of where it is, else `attachment`. */
export function attachmentName({ filename, url, s3 }: StoredAttachment): string {
  if (filename) return filename;
  const path = url === undefined ? (s3?.key ?? "") : decodedPath(url);
  return oneLine(path.slice(path.lastIndexOf("/") + 1)) || "attachment";
}

function decodedPath(url: string): string {
  const path = URL.parse(url)?.pathname ?? "";
  try {
    return decodeURIComponent(path.slice(path.lastIndexOf("/") + 1));
  } catch {
    return path; // an escape that is no UTF-8 stays as it was written
  }
}
