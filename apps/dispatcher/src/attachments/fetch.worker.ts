import { createClock } from "@async-mail/runtime/clock";
import { anyButLinkLocal, createEgress, publicAddressesOnly } from "@async-mail/runtime/egress";
import { workerData } from "piscina";
import { createAttachmentCache } from "./cache.ts";
import { createEndpointSource } from "./fetch-endpoint.ts";
import { createS3Source, type S3Config } from "./fetch-s3.ts";
import type { FetchTask } from "./fetch-task.ts";
import { createUrlSource } from "./fetch-url.ts";
import { createFetcher, type FetchAnswer, type FetcherOptions } from "./fetcher.ts";
import { createRoom } from "./room.ts";
import { createSlots } from "./slots.ts";

export type FetchSettings = {
  cache: { folder: string; bootId: string; maxBytes: number; maxAgeMs: number };
  /** Of one attachment. */
  maxBytes: number;
  timeoutMs: number;
  /** Of all that is coming. */
  bytesAtOnce: number;
  allowHosts: readonly string[];
  s3: S3Config;
};

/** A browser's measure: more at a time is no faster, and less polite. */
const AT_ONCE_EACH_HOST = 8;
const AT_ONCE = 64;
const CONNECT_MS = 10_000;

/** The thread that fetches: started for the first attachment that is elsewhere, and kept, with its connections. */
const { cache, maxBytes, timeoutMs, bytesAtOnce, allowHosts, s3 } = workerData as FetchSettings;
const connecting = { connectTimeoutMs: CONNECT_MS, connectionsPerOrigin: AT_ONCE_EACH_HOST };
const urls = createUrlSource({
  egress: createEgress({ mayReach: publicAddressesOnly(allowHosts), ...connecting }),
  maxBytes,
});
const clients = createEndpointSource({ egress: createEgress({ mayReach: anyButLinkLocal, ...connecting }), maxBytes });
const buckets = createS3Source(s3);
const clock = createClock(0);
const open: FetcherOptions["open"] = ({ source, name }, known, signal) => {
  if (source.kind === "endpoint") return clients.open({ ...source, name }, signal);
  return source.kind === "url" ? urls.open(source, known, signal) : buckets.open(source, known, signal);
};

const fetcher = createFetcher({
  cache: createAttachmentCache(cache),
  refusal: (source) => (source.kind === "s3" ? buckets.refusal(source) : null),
  open,
  s3Endpoint: s3.endpoint,
  maxBytes,
  timeoutMs,
  slots: createSlots({ each: AT_ONCE_EACH_HOST, all: AT_ONCE }),
  tenantSlots: createSlots({ each: AT_ONCE / 2, all: Number.POSITIVE_INFINITY }),
  room: createRoom(bytesAtOnce),
  now: () => clock.now().wallMs,
});

export default function bring(task: FetchTask): Promise<FetchAnswer> {
  return fetcher.bring(task);
}
