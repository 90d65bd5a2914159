import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import S3rver from "s3rver";
import { eventually } from "./eventually.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The only pair that the server knows; signatures themselves it does not check. */
export const S3_KEYS = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };

/** Something that the server does instead of answering, or before `serve()` answers as it should. */
export type S3Fault = (request: IncomingMessage, response: ServerResponse, serve: () => void) => void;

/** One GET, as it came. */
export type S3Request = { bucket: string; key: string; query: URLSearchParams; headers: IncomingMessage["headers"] };

export type S3Server = {
  endpoint: string;
  /** Buckets are made as they are named. */
  put(bucket: string, key: string, bytes: Uint8Array): Promise<void>;
  remove(bucket: string, key: string): Promise<void>;
  /** Of objects, in the order in which they came, those that a fault took included. */
  requests: S3Request[];
  /** Each GET takes the first; with none left it is served. */
  faults: S3Fault[];
  /** Connections that are open. */
  connections(): Promise<number>;
  close(): Promise<void>;
};

/** A real S3 server on loopback. It has one version of each object, and ignores which is asked for. */
export async function startS3Server(): Promise<S3Server> {
  const s3 = new S3rver({ directory: temporaryFolder(), silent: true, vhostBuckets: false });
  const serve = s3.callback();
  const requests: S3Request[] = [];
  const faults: S3Fault[] = [];
  const server = createServer((request, response) => {
    if (request.method !== "GET") return serve(request, response);
    requests.push(read(request));
    const fault = faults.shift();
    if (fault === undefined) serve(request, response);
    else fault(request, response, () => serve(request, response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    endpoint,
    requests,
    faults,
    put: async (bucket, key, bytes) => {
      await s3.store.putBucket(bucket);
      await ok(await fetch(urlOf(endpoint, bucket, key), { method: "PUT", headers: AS_SDK, body: Buffer.from(bytes) }));
      // It answers when it has all, and not when all is in the file.
      await eventually(async () => (await lengthOf(urlOf(endpoint, bucket, key))) === bytes.length);
    },
    remove: async (bucket, key) => {
      await ok(await fetch(urlOf(endpoint, bucket, key), { method: "DELETE", headers: AS_SDK }));
    },
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          s3.logger.exceptions.unhandle();
          s3.logger.close();
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** Without such a header it would take a request for that of a browser for a website. */
const AS_SDK = { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" };

function urlOf(endpoint: string, bucket: string, key: string): string {
  return `${endpoint}/${bucket}/${key.split("/").map(encodeURIComponent).join("/")}`;
}

async function ok(response: Response): Promise<void> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
}

async function lengthOf(url: string): Promise<number> {
  const { headers } = await fetch(url, { method: "HEAD", headers: AS_SDK });
  return Number(headers.get("content-length") ?? -1);
}

function read({ url = "", headers }: IncomingMessage): S3Request {
  const { pathname, searchParams } = new URL(url, "http://s3");
  const [bucket = "", ...key] = decodeURIComponent(pathname.slice(1)).split("/");
  return { bucket, key: key.join("/"), query: searchParams, headers };
}
