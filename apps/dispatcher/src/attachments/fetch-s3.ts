import { Readable } from "node:stream";
import { isS3Allowed, isTenantS3Allowed } from "@async-mail/domain/s3-allow";
import type { GetObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import type { Opened, SourceFailure, Validator } from "./remote-source.ts";
import { s3Body } from "./s3-body.ts";
import { type S3Config, s3ClientConfig } from "./s3-client-config.ts";
import { final, passing, s3Failure, wordOf } from "./s3-failure.ts";

export type { S3Config } from "./s3-client-config.ts";

export type S3Object = {
  bucket: string;
  key: string;
  /** Null: the latest. */
  versionId: string | null;
  /** `s3_prefixes` of whose message it is; null: the tenant `default`, which `s3.allow` alone binds. */
  prefixes: readonly string[] | null;
};

export type S3Source = {
  /** Why the configuration does not let it be fetched, nor used where it was kept; null: it does. */
  refusal(object: S3Object): string | null;
  /** The object as it is stored: what S3 calls its encoding is not undone. Fails in words; only a bug rejects. */
  open(object: S3Object, known: Validator | null, signal: AbortSignal): Promise<Opened>;
  close(): void;
};

type Sdk = { client: S3Client; GetObjectCommand: typeof import("@aws-sdk/client-s3").GetObjectCommand };

/** Of a refusal: the code stands in the first few hundred. */
const MAX_REFUSAL_BYTES = 64 * 1024;

/** Objects of one S3 and its credentials. The SDK is large, so that it is loaded for the first object only. */
export function createS3Source(config: S3Config): S3Source {
  let loading: Promise<Sdk> | null = null;

  function refusal(object: S3Object): string | null {
    if (!isS3Allowed(config.allow, object)) return "not allowed (s3.allow)";
    const { prefixes } = object;
    return prefixes === null || isTenantS3Allowed(prefixes, object) ? null : "not allowed (s3_prefixes)";
  }

  async function open(object: S3Object, known: Validator | null, signal: AbortSignal): Promise<Opened> {
    const refused = refusal(object);
    if (refused !== null) return final(refused);
    if (signal.aborted) return givenUp();
    loading ??= load(config);
    return unlessAborted(get(loading, object, known, signal), signal);
  }

  function close(): void {
    void loading?.then(({ client }) => client.destroy());
  }

  return { refusal, open, close };
}

async function load(config: S3Config): Promise<Sdk> {
  const { S3Client, GetObjectCommand } = await import("@aws-sdk/client-s3");
  const client = new S3Client(s3ClientConfig(config));
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as { statusCode: number; body: unknown };
      if (response.statusCode >= 300 && response.body instanceof Readable)
        response.body = Readable.from(firstBytes(response.body));
      return result;
    },
    // Nearest to the wire: the SDK reads refusals whole, however long they are.
    { step: "deserialize", priority: "low", name: "shortRefusals" },
  );
  return { client, GetObjectCommand };
}

async function* firstBytes(body: Readable): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    yield chunk;
    if (bytes >= MAX_REFUSAL_BYTES) return;
  }
}

async function get(
  loading: Promise<Sdk>,
  { bucket, key, versionId }: S3Object,
  known: Validator | null,
  signal: AbortSignal,
): Promise<Opened> {
  const { client, GetObjectCommand } = await loading;
  const unready = await whyUnready(client);
  if (unready !== null) return unready;
  const request = new GetObjectCommand({
    Bucket: bucket,
    Key: key,
    VersionId: versionId ?? undefined,
    IfNoneMatch: known?.etag,
  });
  try {
    return opened(await client.send(request, { abortSignal: signal }));
  } catch (error) {
    return known?.etag !== undefined && isNotModified(error) ? { kind: "unchanged" } : s3Failure(error);
  }
}

/** The chain may read files and ask other services; asked apart from S3, their refusals are not taken for its own. */
async function whyUnready({ config }: S3Client): Promise<SourceFailure | null> {
  try {
    await config.region();
  } catch {
    return passing("no region is known: see s3.region");
  }
  try {
    await config.credentials();
  } catch (error) {
    return passing(`no credentials are to be had (${wordOf((error as Error).name)}): see s3.access_key_id`);
  }
  return null;
}

/** RFC 9110 §15.4.5; to the SDK an error. */
function isNotModified(error: unknown): boolean {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 304;
}

function opened({ Body, ContentLength, ETag, $metadata }: GetObjectCommandOutput): Opened {
  const body = Body as Readable;
  if ($metadata.httpStatusCode !== 200) {
    body.destroy();
    return passing(`the server answered ${$metadata.httpStatusCode} to a request for the whole object`);
  }
  const declaredBytes = ContentLength ?? null;
  return { kind: "file", body: s3Body(body, declaredBytes), declaredBytes, validator: ETag ? { etag: ETag } : null };
}

/** The SDK's own abort does not end what its chain does. */
async function unlessAborted(work: Promise<Opened>, signal: AbortSignal): Promise<Opened> {
  const { promise: aborted, resolve } = Promise.withResolvers<Opened>();
  const stop = () => resolve(givenUp());
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function givenUp(): SourceFailure {
  return passing("it did not come in time");
}
