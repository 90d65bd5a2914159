import type { S3Fault } from "./s3-server.ts";

/** A refusal as S3 writes it; `<secret>` and the address are what no one else shall read. */
export function s3Refusal(status: number, code: string, headers: Record<string, string> = {}): S3Fault {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/xml", ...headers });
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>see 10.9.8.7</Message>` +
        "<AWSAccessKeyId>AKIASECRET</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 secret</StringToSign></Error>",
    );
  };
}

/** Any other answer, as a gateway in between would give it. */
export function s3Answer(status: number, body = "", headers: Record<string, string> = {}): S3Fault {
  return (_request, response) => {
    response.writeHead(status, headers).end(body);
  };
}

/** The connection ends before any answer. */
export const s3Reset: S3Fault = (request) => request.socket.destroy();

/** Never answers. */
export const s3Silence: S3Fault = () => {};

/** What is no HTTP, or wrong HTTP, word for word. */
export function s3Raw(bytes: string): S3Fault {
  return (request) => request.socket.end(bytes);
}

/** So many bytes of as many as announced, then the connection ends. */
export function s3Cut(sent: number, declared: number): S3Fault {
  return (request, response) => {
    response.writeHead(200, { "content-length": declared, etag: '"cut"' });
    response.write(Buffer.alloc(sent, "x"), () => request.socket.destroy());
  };
}

/** So many bytes of more, then nothing: the rest never comes. */
export function s3Stall(sent: number, declared: number, status = 200): S3Fault {
  return (_request, response) => {
    response.writeHead(status, { "content-length": declared, etag: '"stall"' });
    response.write(Buffer.alloc(sent, "x"));
  };
}

/** A byte at a time, for as long as the connection is there. */
export function s3Drip(everyMs: number): S3Fault {
  return (_request, response) => {
    response.writeHead(200, { etag: '"drip"' });
    const drip = setInterval(() => response.write("x"), everyMs);
    response.on("close", () => clearInterval(drip));
  };
}

/** A body that does not end while it is taken. */
export function s3Endless(status: number): S3Fault {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/xml" });
    const chunk = Buffer.alloc(16 * 1024, " ");
    const more = () => {
      while (response.write(chunk));
    };
    response.on("drain", more);
    more();
  };
}

/** Answers as it should when `until` is fulfilled. */
export function s3Held(until: Promise<void>): S3Fault {
  return (_request, _response, serve) => void until.then(serve);
}
