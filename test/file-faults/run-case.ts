import { simpleParser } from "mailparser";
import { eventually } from "../support/eventually.ts";
import { bytes } from "../support/file-answers.ts";
import { type FileServer, startFileServer } from "../support/file-server.ts";
import { namesFor } from "../support/name-server.ts";
import { S3_KEYS, type S3Server, startS3Server } from "../support/s3-server.ts";
import { type Service, startService } from "../support/service.ts";
import { ALLOWED_HOST, FORBIDDEN_HOST, MAX_BYTES, NAMES, TIMEOUT_SECONDS } from "./cases.ts";
import { BUCKET, FILE, type FileFault } from "./file-fault.ts";

/** A message as GET /messages/{id} shows it, of which only so much matters here. */
export type SeenMessage = {
  status: string;
  error?: string;
  history: { at: string; outcome: string; response?: string; until?: string }[];
};

/** What a person and the servers saw of one case. */
export type Played = {
  record: SeenMessage;
  /** What went out; null: nothing did. */
  mailed: Buffer[] | null;
  requests: number;
  /** From the API's 200. */
  seconds: number;
  /** Of a message without attachments, posted right after: from the API's 200 to the mail server's DATA. */
  beside: { status: string; ms: number };
};

/** The service, and what its files come from; ready, with all of it used once. */
export type FileFaultsStage = { service: Service; inner: FileServer; s3: S3Server; stop(): Promise<void> };

/** A second attempt soon, and room for all cases at once. */
const CONFIG = `
[attachments]
timeout_seconds = ${TIMEOUT_SECONDS}
max_bytes = ${MAX_BYTES}
allow_hosts = ${ALLOWED_HOST}
[delivery]
retry_delays_seconds = 1
max_connections_per_account = 50
`;

const DEADLINE_MS = 60_000;
const WARM_UPS = 5;

export async function startStage(): Promise<FileFaultsStage> {
  const [inner, s3] = await Promise.all([startFileServer({}, { host: FORBIDDEN_HOST }), startS3Server()]);
  const env = {
    ...namesFor(NAMES),
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
  };
  const service = await startService({ config: CONFIG, env });
  await warmUp(service, s3);
  const stop = async () => {
    await Promise.all([service.stop(), inner.close(), s3.close()]);
  };
  return { service, inner, s3, stop };
}

/** What is loaded for the first file of its kind is no case's time or memory. */
async function warmUp(service: Service, s3: S3Server): Promise<void> {
  const files = await startFileServer({ "/warm-up": bytes(FILE) }, { host: ALLOWED_HOST });
  await s3.put(BUCKET, "warm-up", FILE);
  const sources = [{ url: files.url("/warm-up") }, { s3: { bucket: BUCKET, key: "warm-up" } }];
  for (let i = 0; i < WARM_UPS; i += 1) {
    await post(service, { id: `warm-up-${i}`, attachments: sources });
    await lookUntilCalm(service, `warm-up-${i}`, false);
  }
  await files.close();
}

/** One message that wants the file, and one beside it that wants none, until the first is at its end, or put off where that is all that can be. */
export async function play({ service, inner, s3 }: FileFaultsStage, one: FileFault, id: string): Promise<Played> {
  const files = await startFileServer({}, { host: ALLOWED_HOST });
  try {
    const source = await one.prepare({ files, inner, s3, key: id });
    const asked = () => files.requests.length + s3.requests.filter(({ key }) => key === id).length;
    await post(service, { id, attachments: [{ filename: "report.pdf", ...source }] });
    const postedMs = performance.now();
    const besideMs = await post(service, { id: `beside-${id}` });
    const record = await lookUntilCalm(service, id, one.expected.status === "deferred");
    const seconds = (performance.now() - postedMs) / 1000;
    const requests = asked();
    const beside = await lookUntilCalm(service, `beside-${id}`, false);
    const ms = (mailTo(service, `beside-${id}`)?.dataAt ?? Number.NaN) - besideMs;
    return { record, mailed: await filesIn(service, id), requests, seconds, beside: { status: beside.status, ms } };
  } finally {
    await files.close();
  }
}

async function lookUntilCalm({ api }: Service, id: string, deferralIsEnd: boolean): Promise<SeenMessage> {
  return await eventually(
    async () => {
      const record: SeenMessage = (await api.get(`/messages/${id}`)).body;
      const isEnd = record.status === "sent" || record.status === "error";
      return (isEnd || (deferralIsEnd && record.history.length > 0)) && record;
    },
    DEADLINE_MS,
    `the end of ${id}`,
  );
}

/** Answers the wall ms of the API's answer. */
async function post({ api }: Service, message: { id: string; attachments?: object[] }): Promise<number> {
  const { id } = message;
  const text = { from: "sender@example.com", to: addressOf(id), subject: id, body: "What becomes of the file?" };
  const { status, body } = await api.addMessages({ ...text, ...message });
  if (status !== 200 || body.rejected.length > 0) throw new Error(`${status} ${JSON.stringify(body)}`);
  return performance.timeOrigin + performance.now();
}

async function filesIn(service: Service, id: string): Promise<Buffer[] | null> {
  const mail = mailTo(service, id);
  return mail === undefined ? null : (await simpleParser(mail.raw)).attachments.map(({ content }) => content);
}

function mailTo({ smtp }: Service, id: string) {
  return smtp.messages.find(({ to }) => to.includes(addressOf(id)));
}

function addressOf(id: string): string {
  return `${id}@example.org`;
}
