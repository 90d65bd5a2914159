/**
 * What URL attachments that take 30 s each cost other mail: latency from the API's 200 to DATA of plain messages posted
 * one by one, while nothing else is to be done, while one such attachment is fetched, and while a hundred are wanted; the
 * messages that want them are of the same account as the plain ones, or of another. In turns within one run, so that
 * whatever else the machine does meets all alike. Real processes, loopback only. About twelve minutes:
 *
 *     npm run bench:slow-url
 *     npm run bench:slow-url -- --messages 20 --turns 1
 *
 * A turn lasts 30 s; what is not fetched by its end comes at once then, so that the next turn begins with nothing to do.
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { eventually, gate } from "../test/support/eventually.ts";
import { bytes, held } from "../test/support/file-answers.ts";
import { type FileAnswer, startFileServer } from "../test/support/file-server.ts";
import { startService } from "../test/support/service.ts";
import { latenciesOf, plainMessage, tellLatencies } from "./latencies.ts";

const { values: options } = parseArgs({
  options: {
    /** Of each kind, over all turns. */
    messages: { type: "string", default: "200" },
    turns: { type: "string", default: "4" },
    many: { type: "string", default: "100" },
  },
});
const TURNS = Number(options.turns);
const EACH = Math.ceil(Number(options.messages) / TURNS);
const MANY = Number(options.many);
const ANSWER_MS = 30_000;
const PATIENCE_MS = 300_000;
const FILES_HOST = "127.0.0.2";

/** Longer than the server takes. */
const CONFIG = `
[attachments]
allow_hosts = ${FILES_HOST}
timeout_seconds = 60
`;

type Kind = { name: string; slow: number; account: string | null; latencies: number[]; stuck: string[] };

const kinds: Kind[] = [
  { name: "nothing else", slow: 0, account: null, latencies: [], stuck: [] },
  { name: "beside one of its account", slow: 1, account: null, latencies: [], stuck: [] },
  { name: `beside ${MANY} of its account`, slow: MANY, account: null, latencies: [], stuck: [] },
  { name: "beside one of another account", slow: 1, account: "other", latencies: [], stuck: [] },
  { name: `beside ${MANY} of another account`, slow: MANY, account: "other", latencies: [], stuck: [] },
];

const files = await startFileServer({}, { host: FILES_HOST });
const service = await startService({ config: CONFIG });
const { smtp } = service;
await service.api.post("/account", { id: "other", host: smtp.host, port: smtp.port, security: "none" });
await latenciesOf({ service, smtp, name: "warm-up", count: 10, pauseMs: 100 });
for (let turn = 0; turn < TURNS; turn += 1)
  for (const kind of kinds) await play(kind, `${turn}-${kinds.indexOf(kind)}`);
for (const kind of kinds) tell(kind);
await service.stop();
await files.close();

async function play(kind: Kind, name: string): Promise<void> {
  const over = gate();
  await postSlow(kind, name, slowAnswer(over.opened));
  const plain = { service, smtp, name: `plain-${name}`, count: EACH, pauseMs: ANSWER_MS / EACH };
  try {
    kind.latencies.push(...(await latenciesOf(plain)));
  } catch (error) {
    // One that does not arrive at all within a turn's time ends the turn: that is a result too.
    kind.stuck.push((error as Error).message);
  }
  over.open();
  const isDone = async () => (await service.api.get("/status")).body.pending_messages === 0;
  await eventually(isDone, PATIENCE_MS, "the end of what was slow");
}

async function postSlow({ slow, account }: Kind, name: string, answer: FileAnswer): Promise<void> {
  if (slow === 0) return;
  const asked = files.requests.length;
  const messages = Array.from({ length: slow }, (_, i) => {
    const path = `/${name}-${i}`;
    files.files[path] = answer;
    return { ...plainMessage(`slow-${name}-${i}`), attachments: [{ url: files.url(path) }] };
  });
  const { status, text } = await service.api.addMessages(...messages.map((one) => ({ ...one, account_id: account })));
  if (status !== 200) throw new Error(`the API answered ${status} ${text}`);
  await eventually(() => files.requests.length > asked, PATIENCE_MS, "the request for a slow file");
}

/** After 30 s from each request, or when the turn is over. */
function slowAnswer(over: Promise<void>): FileAnswer {
  return (request, response, count) =>
    held(Promise.race([over, pause(ANSWER_MS, undefined, { ref: false })]), bytes("At last."))(
      request,
      response,
      count,
    );
}

function tell({ name, latencies, stuck }: Kind): void {
  if (latencies.length > 0) tellLatencies(name, latencies);
  for (const one of stuck) console.log(`${name}: ${one}`);
}
