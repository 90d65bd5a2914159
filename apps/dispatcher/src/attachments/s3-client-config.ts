import { freeLookup } from "@async-mail/runtime/egress";
import { onceMore } from "./s3-once-more.ts";

/** The settings of section s3; null: as the SDK's chain has it (environment, profiles, the machine's role). */
export type S3Config = {
  endpoint: string | null;
  region: string | null;
  accessKeyId: string | null;
  secretAccessKey: string | null;
  /** Belongs to a temporary access key. */
  sessionToken?: string | null;
  /** The bucket in the path, not in the host's name; null: where an endpoint is given. */
  forcePathStyle: boolean | null;
  allow: readonly string[];
};

/** The SDK's own look-ups would hold the threads that files are read by. */
const LOOKUP_MS = 10_000;
/** More wait for their turn. */
const MAX_CONNECTIONS = 64;

/** For the SDK's S3Client. What is left out is the chain's. */
export function s3ClientConfig({ endpoint, region, forcePathStyle, ...config }: S3Config) {
  const { accessKeyId, secretAccessKey, sessionToken } = config;
  const connections = { keepAlive: true, maxSockets: MAX_CONNECTIONS, lookup: freeLookup(LOOKUP_MS) };
  return {
    endpoint: endpoint ?? undefined,
    // Servers of other vendors have no regions, and take any.
    region: region ?? (endpoint === null ? undefined : "us-east-1"),
    credentials:
      accessKeyId === null || secretAccessKey === null
        ? undefined
        : { accessKeyId, secretAccessKey, sessionToken: sessionToken ?? undefined },
    forcePathStyle: forcePathStyle ?? endpoint !== null,
    requestHandler: { httpAgent: connections, httpsAgent: connections },
    retryStrategy: onceMore,
    // Otherwise asked for with every request, which servers of other vendors refuse.
    requestChecksumCalculation: "WHEN_REQUIRED" as const,
    responseChecksumValidation: "WHEN_REQUIRED" as const,
  };
}
