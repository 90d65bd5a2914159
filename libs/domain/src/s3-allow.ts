/** Where an object is. */
export type S3Place = { bucket: string; key: string };

/**
 * Whether the setting `s3.allow`, a list of `bucket` or `bucket/prefix`, lets attachments name this place. A prefix ends
 * at a `/`: `docs/inv` is `inv` and all below it, not `invoices`; `docs/inv/` only what is below. An empty list: all.
 */
export function isS3Allowed(allow: readonly string[], place: S3Place): boolean {
  if (allow.length === 0) return true;
  return !MAY_BE_ANOTHER.test(place.key) && allow.some((entry) => covers(entry, place));
}

/** As `isS3Allowed`, by a tenant's own `s3_prefixes`: an empty list is nothing. */
export function isTenantS3Allowed(prefixes: readonly string[], place: S3Place): boolean {
  return prefixes.length > 0 && isS3Allowed(prefixes, place);
}

/**
 * A segment that is empty, `.` or `..`, also as escapes. To S3 these are names like any other, but a gateway before it
 * may resolve them as a path, and would then fetch from a place that is not in the list.
 */
const MAY_BE_ANOTHER = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){0,2}(?:$|[/\\]|%2f|%5c)/i;

function covers(entry: string, { bucket, key }: S3Place): boolean {
  const slash = entry.indexOf("/");
  if (slash === -1) return bucket === entry;
  if (bucket !== entry.slice(0, slash)) return false;
  const prefix = entry.slice(slash + 1);
  return key === prefix || key.startsWith(prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`);
}
