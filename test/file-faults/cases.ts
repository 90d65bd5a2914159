import * as answers from "../support/file-answers.ts";
import type { FileAnswer } from "../support/file-server.ts";
import type { NameScript } from "../support/name-server.ts";
import { s3Drip, s3Refusal, s3Stall } from "../support/s3-faults.ts";
import type { S3Fault } from "../support/s3-server.ts";
import { atS3, atUrl, FILE, type FileFault, refused, sent, sentLater } from "./file-fault.ts";

/** Of one fetch; what never comes costs a case so long. */
export const TIMEOUT_SECONDS = 5;
export const MAX_BYTES = 5_000_000;

/** Where file servers of URLs are: the one private address that is allowed. */
export const ALLOWED_HOST = "127.0.0.2";
export const FORBIDDEN_HOST = "127.0.0.3";

/** Names that are looked up slowly, or never. */
export const NAMES: NameScript = {
  "slow.test": { answers: [[ALLOWED_HOST]], afterMs: 1500 },
  "silent.test": { answers: [[ALLOWED_HOST]], afterMs: 3_600_000 },
};

const UNPACKED_BYTES = 2_000_000_000;
const NOT_IN_TIME = new RegExp(`not done within ${TIMEOUT_SECONDS} s$`);
const TOO_LARGE = new RegExp(`larger.*attachments\\.max_bytes.*${MAX_BYTES}`);
const REFUSED = "an error at once";
const RETRIED = "deferred, then sent whole";

const whole = answers.bytes(FILE);
const html = Buffer.from("<!doctype html><title>Please log in</title>");
const asHtml = answers.bytes(html, { "content-type": "text/html" });

/** As with bad luck: the fault first, the file the next time. */
const once = (fault: FileAnswer) => () => answers.inTurn(fault, whole);

const AT_URL: FileFault[] = [
  atUrl({ name: "404", must: REFUSED, expected: refused(/404 Not Found/) }, () => answers.status(404)),
  atUrl({ name: "403", must: REFUSED, expected: refused(/403 Forbidden/) }, () => answers.status(403)),
  atUrl({ name: "500, then 200", must: RETRIED, expected: sentLater(/500/) }, once(answers.status(500))),
  atUrl(
    {
      name: "429 with Retry-After: 4",
      must: "deferred for these 4 s, then sent whole",
      expected: sentLater(/429 Too Many Requests/, { waitsSeconds: 4 }),
    },
    once(answers.status(429, { "retry-after": "4" })),
  ),
  atUrl(
    { name: "redirect to a private address", must: `${REFUSED}; it is not asked`, expected: refused(/not public/) },
    ({ inner }) => answers.redirect(inner.url("/secret")),
  ),
  atUrl({ name: "redirect loop", must: REFUSED, expected: refused(/in a loop/, { requests: 2 }) }, ({ files, key }) => {
    files.files["/there"] = answers.redirect(`/${key}`);
    return answers.redirect("/there");
  }),
  atUrl(
    { name: "cut in the middle", must: RETRIED, expected: sentLater(/cut off/) },
    once(answers.cut(FILE, FILE.length / 2)),
  ),
  atUrl(
    { name: "cut in the middle, without a length", must: RETRIED, expected: sentLater(/cut off/) },
    once(answers.cut(FILE, FILE.length / 2, "chunked")),
  ),
  atUrl({ name: "drip of a byte a second", must: RETRIED, expected: sentLater(NOT_IN_TIME) }, once(answers.drip(FILE))),
  atUrl({ name: "endless body", must: REFUSED, expected: refused(TOO_LARGE) }, () => answers.endless),
  atUrl({ name: "503 with an endless body", must: RETRIED, expected: sentLater(/503/) }, once(answers.endlessly(503))),
  atUrl(
    { name: "Content-Length larger than what comes", must: RETRIED, expected: sentLater(/cut off/) },
    once(answers.cut(FILE, FILE.length, { "content-length": FILE.length + 1 })),
  ),
  atUrl(
    {
      name: "Content-Length larger than what comes, and the connection stays open",
      must: RETRIED,
      expected: sentLater(NOT_IN_TIME),
    },
    once((_, response) => void response.writeHead(200, { "content-length": FILE.length + 1 }).write(FILE)),
  ),
  atUrl(
    {
      name: "Content-Length smaller than what comes",
      must: "sent: the file is what was announced",
      expected: sent({ file: FILE.subarray(0, -1) }),
    },
    () => answers.longerThanSaid(FILE.toString(), FILE.length - 1),
  ),
  atUrl(
    { name: "Content-Length larger than is allowed", must: `${REFUSED}, unread`, expected: refused(TOO_LARGE) },
    () => answers.bytes("", { "content-length": MAX_BYTES + 1 }),
  ),
  atUrl({ name: "gzip bomb (2 GB of 2 MB)", must: REFUSED, expected: refused(TOO_LARGE) }, () =>
    answers.gzipBomb(UNPACKED_BYTES),
  ),
  atUrl(
    { name: "HTML instead of a file, with 200", must: "sent: it is the file", expected: sent({ file: html }) },
    () => asHtml,
  ),
  atUrl({ name: "slow DNS (1.5 s)", must: "sent", expected: sent() }, () => whole, "slow.test"),
  atUrl(
    {
      name: "DNS that does not answer",
      must: "deferred",
      expected: { status: "deferred", reason: NOT_IN_TIME, requests: 0 },
    },
    () => whole,
    "silent.test",
  ),
];

const cutMidway: S3Fault = (request, response) => {
  response.writeHead(200, { "content-length": FILE.length });
  response.write(FILE.subarray(0, FILE.length / 2), () => request.socket.end());
};

const AT_S3: FileFault[] = [
  atS3({ name: "S3: NoSuchKey", must: REFUSED, expected: refused(/NoSuchKey/) }, [], true),
  atS3({ name: "S3: AccessDenied", must: REFUSED, expected: refused(/AccessDenied/) }, [
    s3Refusal(403, "AccessDenied"),
  ]),
  atS3({ name: "S3: SlowDown, then fine", must: RETRIED, expected: sentLater(/SlowDown/) }, [
    s3Refusal(503, "SlowDown"),
  ]),
  atS3({ name: "S3: cut in the middle", must: RETRIED, expected: sentLater(/broke off/) }, [cutMidway]),
  atS3({ name: "S3: drip of a byte a second", must: RETRIED, expected: sentLater(NOT_IN_TIME) }, [s3Drip(1000)]),
  atS3({ name: "S3: half of it, and then nothing", must: RETRIED, expected: sentLater(NOT_IN_TIME) }, [
    s3Stall(FILE.length / 2, FILE.length),
  ]),
];

/** Each misbehaviour of a server of files, and what must become of the message that wants the file (contract §6). */
export const FILE_FAULTS: readonly FileFault[] = [...AT_URL, ...AT_S3];
