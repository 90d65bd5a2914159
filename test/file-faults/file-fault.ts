import type { FileAnswer, FileServer } from "../support/file-server.ts";
import type { S3Fault, S3Server } from "../support/s3-server.ts";

/** Where a case finds its servers. */
export type Place = {
  /** The case's own; URLs may lead there. */
  files: FileServer;
  /** Reachable, and allowed to no URL. */
  inner: FileServer;
  /** One for all cases, which use it one after another. */
  s3: S3Server;
  /** The case's own path or key. */
  key: string;
};

/** What becomes of the one message that wants the file. */
export type Expected = {
  status: "sent" | "error" | "deferred";
  /** Of the error, or of the deferral that came first; none: it was never deferred. */
  reason?: RegExp;
  /** What goes out; default: FILE. */
  file?: Buffer;
  /** How often servers are asked for it until then. */
  requests: number;
  /** The deferral lasts at least so long. */
  waitsSeconds?: number;
};

export type FileFault = {
  /** Of the case. */
  name: string;
  /** In the words of the table. */
  must: string;
  from: "url" | "s3";
  /** Sets up the servers; answers the source, as the message names it. */
  prepare(place: Place): object | Promise<object>;
  expected: Expected;
};

type Told = Pick<FileFault, "name" | "must" | "expected">;

/** What a fault does not spoil is this. */
export const FILE = Buffer.from("What the file holds. ".repeat(10_000));

export const BUCKET = "file-faults";

/** `host`: a name that leads to the server, instead of its address. */
export function atUrl(told: Told, answer: (place: Place) => FileAnswer, host?: string): FileFault {
  const prepare = (place: Place) => {
    place.files.files[`/${place.key}`] = answer(place);
    const url = new URL(place.files.url(`/${place.key}`));
    if (host !== undefined) url.hostname = host;
    return { url: url.href };
  };
  return { ...told, from: "url", prepare };
}

/** The object is there, unless `isMissing`; each request for it meets the next fault, with none left it is served. */
export function atS3(told: Told, faults: S3Fault[], isMissing = false): FileFault {
  const prepare = async ({ s3, key }: Place) => {
    await s3.put(BUCKET, isMissing ? `not-${key}` : key, FILE);
    s3.faults.push(...faults);
    return { s3: { bucket: BUCKET, key } };
  };
  return { ...told, from: "s3", prepare };
}

/** At the first attempt. */
export function sent(more: Partial<Expected> = {}): Expected {
  return { status: "sent", requests: 1, ...more };
}

/** At the second attempt, whole. */
export function sentLater(reason: RegExp, more: Partial<Expected> = {}): Expected {
  return { status: "sent", reason, requests: 2, ...more };
}

/** At once, and for good. */
export function refused(reason: RegExp, more: Partial<Expected> = {}): Expected {
  return { status: "error", reason, requests: 1, ...more };
}
