import type { TenantSources } from "@async-mail/db/store";
import type { AttachmentSource, DraftAttachment } from "@async-mail/domain/draft";
import { authorizationOf, clientUrl, DEFAULT_TENANT } from "@async-mail/domain/tenant";
import type { EndpointFile } from "./fetch-endpoint.ts";
import type { S3Object } from "./fetch-s3.ts";
import type { WebFile } from "./fetch-url.ts";

export type RemoteSource =
  | ({ kind: "url" } & WebFile)
  | ({ kind: "endpoint" } & Omit<EndpointFile, "name">)
  | ({ kind: "s3" } & S3Object);

/** Whose bytes did not come with the message. */
export type Elsewhere = DraftAttachment & { source: Exclude<AttachmentSource, { kind: "content" }> };

/** All that the thread which fetches is told of an attachment. */
export type FetchTask = {
  /** Whose message it is of: nothing that is kept for one serves another. */
  tenant: string;
  /** The name under which it goes out. */
  name: string;
  /** Of its bytes, as far as somebody says. */
  md5: string | null;
  source: RemoteSource;
  /** Wall ms: when its message was allowed to go. */
  sinceMs: number;
};

/** What is known of a message whose attachments are fetched; `sources` null: not asked for, or the tenant is gone. */
export type FetchContext = { tenant: string; sources: TenantSources | null; sinceMs: number };

/** Whether what the tenant is must be known to fetch it. */
export function needsTenant(source: AttachmentSource, tenant: string): boolean {
  return source.kind === "endpoint" || (source.kind === "s3" && tenant !== DEFAULT_TENANT);
}

/** A text: why it can never be fetched. */
export function fetchTask({ filename, md5, source }: Elsewhere, context: FetchContext): FetchTask | string {
  const { tenant, sinceMs } = context;
  const where = remoteSource(source, context);
  return typeof where === "string" ? where : { tenant, name: filename, md5, source: where, sinceMs };
}

function remoteSource(source: Elsewhere["source"], { tenant, sources }: FetchContext): RemoteSource | string {
  if (source.kind === "url")
    return { kind: "url", url: source.url, authorization: source.auth === null ? null : authorizationOf(source.auth) };
  if (source.kind === "s3" && tenant === DEFAULT_TENANT) return { ...source, prefixes: null };
  if (sources === null) return "its tenant is there no more";
  if (source.kind === "s3") return { ...source, prefixes: sources.s3Prefixes };
  if (sources.baseUrl === null) return "its tenant has no client any more that could be asked for it";
  const url = clientUrl(sources.baseUrl, sources.attachmentPath);
  if (url === null) return "its tenant's client_base_url and client_attachment_path make no address";
  return { kind: "endpoint", url, path: source.path, authorization: authorizationOf(source.auth ?? sources.auth) };
}
