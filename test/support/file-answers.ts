import type { OutgoingHttpHeaders } from "node:http";
import { createGzip, gzipSync } from "node:zlib";
import type { FileAnswer } from "./file-server.ts";

/** The bytes, with their length, and whatever headers. */
export function bytes(content: Uint8Array | string, headers: OutgoingHttpHeaders = {}): FileAnswer {
  return (_, response) => {
    response.writeHead(200, { "content-length": Buffer.byteLength(content), ...headers }).end(content);
  };
}

/** Any status, with a short page of its own. */
export function status(code: number, headers: OutgoingHttpHeaders = {}): FileAnswer {
  return (_, response) => {
    response.writeHead(code, headers).end(code === 204 || code === 304 ? undefined : `<html>status ${code}</html>`);
  };
}

export function redirect(to: string, code = 302): FileAnswer {
  return status(code, { location: to });
}

/** One after the other, a request each; the last for all that follow. */
export function inTurn(...answers: FileAnswer[]): FileAnswer {
  return (request, response, count) => answers[Math.min(count, answers.length) - 1]?.(request, response, count);
}

/** Without a length. */
export function chunked(content: Uint8Array | string): FileAnswer {
  return (_, response) => {
    response.writeHead(200);
    response.write(content.slice(0, 1));
    response.end(content.slice(1));
  };
}

/** Until the connection ends, as HTTP/1.0 does it: no length, no chunks. */
export function untilClosed(content: string): FileAnswer {
  return (_, response) => {
    response.socket?.end(`HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n${content}`);
  };
}

/** That part of the file, and then the connection is cut; chunked: without a length. */
export function cut(content: Uint8Array, after: number, headers: OutgoingHttpHeaders | "chunked" = {}): FileAnswer {
  return (_, response) => {
    if (headers === "chunked") response.writeHead(200, { connection: "close" });
    else response.writeHead(200, { "content-length": content.length, ...headers });
    response.write(content.subarray(0, after), () => response.socket?.end());
  };
}

/** Closed before a word of an answer. */
export const hangUp: FileAnswer = (_, response) => void response.socket?.destroy();

/** An answer that is no HTTP. */
export const babble: FileAnswer = (_, response) => void response.socket?.end("220 mail.example ESMTP\r\n");

/** More bytes than its Content-Length says, in one packet. */
export function longerThanSaid(content: string, said: number): FileAnswer {
  return (_, response) => void response.socket?.write(`HTTP/1.1 200 OK\r\nContent-Length: ${said}\r\n\r\n${content}`);
}

/** A byte at a time. */
export function drip(content: Uint8Array, everyMs = 1000): FileAnswer {
  return (_, response) => {
    let at = 0;
    response.writeHead(200, { "content-length": content.length });
    const timer = setInterval(() => {
      response.write(content.subarray(at, at + 1));
      at += 1;
      if (at === content.length) response.end();
    }, everyMs);
    response.on("close", () => clearInterval(timer));
  };
}

/** For ever, as fast as it is read. */
export function endlessly(code: number): FileAnswer {
  const block = Buffer.alloc(65_536, 0x61);
  return (_, response) => {
    response.writeHead(code);
    const write = () => {
      while (!response.destroyed && response.write(block));
    };
    response.on("drain", write);
    write();
  };
}

export const endless = endlessly(200);

/** Nothing, until `opened` is; then the answer. */
export function held(opened: Promise<void>, answer: FileAnswer): FileAnswer {
  return (request, response, count) => void opened.then(() => answer(request, response, count));
}

/** The answer, so much later. */
export function slow(afterMs: number, answer: FileAnswer): FileAnswer {
  return (request, response, count) => void setTimeout(() => answer(request, response, count), afterMs).unref();
}

export function gzipped(content: Uint8Array | string): FileAnswer {
  return bytes(gzipSync(content), { "content-encoding": "gzip" });
}

/** So many zero bytes, a thousandth of that on the wire. */
export function gzipBomb(unpackedBytes: number): FileAnswer {
  return (_, response) => {
    response.writeHead(200, { "content-encoding": "gzip" });
    const gzip = createGzip();
    gzip.pipe(response);
    response.on("close", () => gzip.destroy());
    const block = Buffer.alloc(1_048_576);
    let left = unpackedBytes;
    const write = () => {
      while (left > 0 && !gzip.destroyed) {
        const isRoom = gzip.write(block.subarray(0, Math.min(left, block.length)));
        left -= Math.min(left, block.length);
        if (left === 0) gzip.end();
        else if (!isRoom) return;
      }
    };
    gzip.on("drain", write);
    write();
  };
}

/** 304 to whoever has it, by its ETag or else its date. */
export function versioned(content: string, version: { etag?: string; lastModified?: string }): FileAnswer {
  const headers = {
    ...(version.etag === undefined ? {} : { etag: version.etag }),
    ...(version.lastModified === undefined ? {} : { "last-modified": version.lastModified }),
  };
  return (request, response, count) => {
    const { "if-none-match": etag, "if-modified-since": date } = request.headers;
    const isKnown = etag === undefined ? date !== undefined && date === version.lastModified : etag === version.etag;
    (isKnown ? status(304, headers) : bytes(content, headers))(request, response, count);
  };
}

/** 401 to whoever does not log in so. */
export function behindLogin(user: string, password: string, answer: FileAnswer): FileAnswer {
  const wanted = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  return (request, response, count) => {
    const isIn = request.headers.authorization === wanted;
    (isIn ? answer : status(401, { "www-authenticate": 'Basic realm="files"' }))(request, response, count);
  };
}
