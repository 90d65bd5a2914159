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

export type ReadAttachment = { stored: StoredAttachment; content: Uint8Array | null };

/** RFC 2392: an addr-spec between angle brackets; in practice any printable word that is no encoded one. */
const CONTENT_ID = /^(?!.*=\?.*\?=)[\x21-\x3b\x3d\x3f-\x7e]{1,500}$/;
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
  const s3 = readS3(raw.s3!);
  return s3.ok ? good({ stored: { ...stored, s3: s3.value }, content: null }) : bad(`.s3.${s3.fault}`);
}

function readDescription({ filename, content_type, content_id }: RawAttachment): Read<StoredAttachment> {
  const stored: StoredAttachment = {};
  const name = safeFileName(filename ?? "");
  if (name !== "") stored.filename = name;
  if (content_type) {
    const type = readMediaType(content_type);
    if (!type.ok) return bad(`.content_type: ${type.fault}`);
    stored.content_type = type.value;
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
