import type { RawAttachment } from "./message-schema.ts";
import { bad, good, quote, type Read } from "./read.ts";

export type StoredS3 = { bucket: string; key: string; version_id?: string };

/** Amazon's names are lower case and at most 63 long; its oldest ones and other vendors' are not. */
const BUCKET = /^[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]$/i;
const CONTROL = /[\x00-\x1f\x7f]/;
/** Bytes of UTF-8, S3's own limit for keys. */
const MAX_BYTES = 1024;

/** The `s3` of an attachment. A fault begins with the name of the field in it. */
export function readS3({ bucket, key, version_id }: NonNullable<RawAttachment["s3"]>): Read<StoredS3> {
  if (bucket === "" || key === "") return bad(`${bucket === "" ? "bucket" : "key"}: empty`);
  if (/^arn:/i.test(bucket)) return bad("bucket: an ARN, the name of a bucket is wanted");
  if (!BUCKET.test(bucket)) return bad(`bucket: ${quote(bucket)} is not the name of a bucket`);
  const fault = faultOf(key);
  if (fault !== null) return bad(`key: ${fault}`);
  if (!version_id) return good({ bucket, key });
  const versionFault = faultOf(version_id);
  return versionFault === null ? good({ bucket, key, version_id }) : bad(`version_id: ${versionFault}`);
}

function faultOf(text: string): string | null {
  if (!text.isWellFormed()) return "not well-formed Unicode";
  if (CONTROL.test(text)) return "has control characters";
  return Buffer.byteLength(text) > MAX_BYTES ? `longer than ${MAX_BYTES} bytes` : null;
}
