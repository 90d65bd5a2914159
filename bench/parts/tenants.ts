import { setTimeout as pause } from "node:timers/promises";
import { startSmtpServer } from "../../test/support/smtp-server.ts";
import { type SyncClientOptions, startSyncClient } from "../../test/support/sync-client.ts";
import { cpuMicroseconds } from "../support/cpu.ts";
import type { Figure, Part, Settings } from "../support/figures.ts";
import { batches } from "../support/mail.ts";
import { inTurn, percentile, ratios, type Values } from "../support/rounds.ts";
import { type Measured, startMeasured } from "../support/service.ts";
import { ownSink, type Sink } from "../support/sink.ts";
import { addTenant, type Tenant } from "../support/tenant.ts";

const BATCH = 500;
const WARM_UP = 4000;

/** What tenants cost one another: a client that hangs or fails, being many, a backlog. */
export async function tenants(settings: Settings): Promise<Part> {
  const figures = [...(await lateness(settings)), ...(await drains(settings)), ...(await neighbours(settings))];
  const { messages } = settings;
  const parts = [
    `reports of ${TRICKLED} messages, some ${1000 / TRICKLE_MS} a second, from the server's yes to the client, where others have ${REPORTS} to report first`,
    `${messages * 2} messages in all, from the first claim to the last report`,
    `${SINGLE} single messages of ${OTHERS} tenants, some ${1000 / SINGLE_MS} a second, while another's backlog drains`,
  ];
  return { name: "tenants", about: parts.join("; "), figures };
}

// ---------------------------------------------------------------- a client that hangs, and one that fails

const TRICKLED = 100;
const TRICKLE_MS = 250;
const HANGS_SECONDS = 5;
/** So many wait for each client that takes none. */
const REPORTS = 500;

async function lateness({ rounds, tell }: Settings): Promise<Figure[]> {
  const all = { alone: [] as Values[], beside: [] as Values[] };
  const p95 = (name: keyof typeof all) => async () => {
    const waits = await reportsLate(name === "beside");
    all[name].push(waits);
    return percentile(waits, 0.95);
  };
  await inTurn(rounds, { alone: p95("alone"), beside: p95("beside") }, tell);
  return SHARES.flatMap((share): Figure[] => {
    const alone = all.alone.map((waits) => percentile(waits, share));
    const beside = all.beside.map((waits) => percentile(waits, share));
    const more = beside.map((value, round) => value - alone[round]!);
    const wanted = share === 0.5 ? {} : { wanted: { atMost: 1000 } };
    return [
      { what: `a report's lateness, ${called(share)}, alone`, values: alone, unit: "ms" },
      { what: `${called(share)}, beside a client that hangs and one that fails`, values: beside, unit: "ms" },
      {
        what: `a report's delay by a client that hangs and one that fails, ${called(share)}`,
        values: more,
        unit: "ms",
        ...wanted,
      },
    ];
  });
}

/** Milliseconds from the mail server's yes to the report at the client, of each message. */
async function reportsLate(others: boolean): Promise<Values> {
  const smtp = await startSmtpServer();
  const service = await startMeasured({
    sink: smtp,
    config: `[sync]\nproxy_sync_timeout_seconds = ${HANGS_SECONDS}\n`,
  });
  const join = async (id: string, answer?: SyncClientOptions["answer"]) => {
    const client = await startSyncClient(answer === undefined ? {} : { answer });
    const tenant = await addTenant(service, id, client.url);
    await tenant.addAccount("own", smtp.port);
    return { client, ...tenant };
  };
  const fine = await join("fine");
  const all = [fine];
  if (others) all.push(await join("hangs", () => new Promise(() => {})), await join("fails", () => ({ status: 500 })));
  for (const { id, post } of all.slice(1)) await post(batches(`${id}-before`, REPORTS, BATCH, ownAccount)[0]!);
  await smtp.received(REPORTS * (all.length - 1), 60_000);
  for (let n = 0; n < TRICKLED; n += 1) {
    await jitter(TRICKLE_MS);
    await Promise.all(all.map(({ id, post }) => post(batches(`${id}-${n}`, 1, 1, ownAccount)[0]!)));
  }
  await fine.client.reports(TRICKLED, 60_000);
  if (all.some(({ client }) => client.calls.length < 3)) throw new Error("a client was not called time and again");
  const sentAt = new Map(smtp.messages.map(({ to, at }) => [to[0]!, at]));
  const waits = fine.client.calls.flatMap(({ body, at }) =>
    body.delivery_report.map(({ id }) => at - sentAt.get(`${id}@example.org`)!),
  );
  await service.kill();
  await Promise.all([smtp.close(), ...all.map(({ client }) => client.close())]);
  return waits;
}

function ownAccount() {
  return { account_id: "own" };
}

// ---------------------------------------------------------------- many

type Shape = { tenants: number; accounts: number; maxConnections: number };

const MANY = 500;
/** Each with many tenants follows the one that has as many accounts in one. */
const SHAPES: Record<string, Shape> = {
  "one tenant with one account": { tenants: 1, accounts: 1, maxConnections: 100 },
  [`one tenant with ${MANY} accounts`]: { tenants: 1, accounts: MANY, maxConnections: 100 },
  [`${MANY} tenants with an account each`]: { tenants: MANY, accounts: 1, maxConnections: 100 },
  [`one tenant with ${MANY} accounts, max_connections 1000`]: { tenants: 1, accounts: MANY, maxConnections: 1000 },
  [`${MANY} tenants with an account each, max_connections 1000`]: { tenants: MANY, accounts: 1, maxConnections: 1000 },
};

async function drains({ rounds, messages, tell }: Settings): Promise<Figure[]> {
  const each = Math.max(1, Math.round((messages * 2) / MANY));
  const costs: Record<string, Figure[]> = {};
  const contenders: Record<string, () => Promise<number>> = {};
  for (const [name, shape] of Object.entries(SHAPES)) {
    const noted: Figure[] = [];
    costs[name] = noted;
    contenders[name] = () => drainRate(shape, each * MANY, noted);
  }
  const rates = await inTurn(rounds, contenders, tell);
  const names = Object.keys(SHAPES);
  return names.flatMap((name, i): Figure[] => {
    const values = rates[name]!;
    const ratio = (what: string, of: number, to: string): Figure => ({
      what,
      of,
      values: ratios(values, rates[to]!),
      unit: "",
      headline: SHAPES[name]!.tenants > 1,
    });
    return [
      { what: name, values, unit: "messages/s" },
      ...(i > 0 ? [ratio("of one account's drain,", 1, names[0]!)] : []),
      ...(SHAPES[name]!.tenants > 1
        ? [ratio("of the drain of as many accounts of one tenant,", 2, names[i - 1]!)]
        : []),
      ...costs[name]!,
    ];
  });
}

/** Messages a second from the first claim to the last report, and what they took. */
async function drainRate(shape: Shape, messages: number, costs: Figure[]): Promise<number> {
  const sink = await ownSink({ pipelining: true });
  const service = await startMeasured({ sink, config: `[delivery]\nmax_connections = ${shape.maxConnections}\n` });
  await service.deliver(batches("warm-up", WARM_UP, BATCH), WARM_UP);
  await service.suspend();
  await fill(service, sink, shape, messages);
  const { reporter, dispatchers } = service.processes;
  const cpu = () => [dispatchers[0]!, reporter].map(({ pid }) => cpuMicroseconds(pid));
  const [connectionsBefore, cpuBefore] = [sink.connections(), cpu()];
  const reported = service.application.untilReported(service.application.reported() + messages);
  const startedMs = performance.now();
  await service.activate();
  await reported;
  const rate = (messages * 1000) / (performance.now() - startedMs);

  const [dispatching = 0, reporting = 0] = cpu().map((us, i) => (us - cpuBefore[i]!) / messages);
  note(costs, "its connections", "", sink.connections() - connectionsBefore);
  note(costs, "its CPU a message: dispatcher", "µs", dispatching);
  note(costs, "its CPU a message: reporter", "µs", reporting);
  await service.stop();
  sink.close();
  return rate;
}

/** The same number of messages in all, in turn to each account. */
async function fill(
  service: Measured,
  sink: Sink,
  shape: Omit<Shape, "maxConnections">,
  messages: number,
): Promise<void> {
  const each = messages / shape.tenants;
  for (let t = 0; t < shape.tenants; t += 1) {
    const tenant = await addTenant(service, `tenant-${t}`, service.application.url);
    for (let a = 0; a < shape.accounts; a += 1) await tenant.addAccount(`account-${a}`, sink.port);
    const fields = (i: number) => ({ account_id: `account-${i % shape.accounts}` });
    for (const body of batches(`of-${t}`, each, BATCH, fields)) await tenant.post(body);
  }
}

// ---------------------------------------------------------------- a backlog

type Backlog = { messages: number; accounts: number; roundTripMs: number };

const OTHERS = 4;
const SINGLE = 100;
const SINGLE_MS = 50;

async function neighbours({ rounds, messages, tell }: Settings): Promise<Figure[]> {
  const count = messages * 10;
  const beside = `beside ${count.toLocaleString("en")} on`;
  const cases: Record<string, Backlog> = {
    alone: { messages: 0, accounts: 0, roundTripMs: 0 },
    [`${beside} one account`]: { messages: count, accounts: 1, roundTripMs: 0 },
    [`${beside} 20 accounts`]: { messages: count, accounts: 20, roundTripMs: 0 },
    [`${beside} 20 accounts, 50 ms away`]: { messages: count, accounts: 20, roundTripMs: 50 },
  };
  const figures: Figure[] = [];
  const contenders: Record<string, () => Promise<number>> = {};
  for (const [name, backlog] of Object.entries(cases))
    contenders[name] = async () => {
      const { waits, connections } = await singleWaits(backlog);
      for (const share of SHARES)
        note(figures, `another tenant's message to DATA, ${called(share)}, ${name}`, "ms", percentile(waits, share));
      note(figures, `connections for those ${SINGLE} messages, ${name}`, "", connections);
      return percentile(waits, 0.95);
    };
  await inTurn(rounds, contenders, tell);
  return figures.map((one) => ({ ...one, headline: one.what.includes(called(0.95)) }));
}

/** Milliseconds from the API's 200 to DATA, of single messages of others than the tenant with the backlog. */
async function singleWaits({ messages, accounts, roundTripMs }: Backlog) {
  const [busy, quiet] = [await ownSink({ pipelining: true, roundTripMs }), await ownSink({ pipelining: true })];
  const service = await startMeasured({ sink: quiet });
  await service.deliver(batches("warm-up", WARM_UP, BATCH), WARM_UP);
  const [arrived, answered] = [new Map<string, number>(), new Map<string, number>()];
  let left = messages;
  busy.onMessage = () => {
    left -= 1;
  };
  quiet.onMessage = ({ recipient, dataAt }) => arrived.set(recipient, dataAt);
  const others: Tenant[] = [];
  for (let n = 0; n < OTHERS; n += 1) {
    const other = await addTenant(service, `other-${n}`, service.application.url);
    await other.addAccount("own", quiet.port);
    others.push(other);
  }
  await service.suspend();
  if (messages > 0) await fill(service, busy, { tenants: 1, accounts }, messages);
  await service.activate();
  while (messages - left < Math.min(messages, BATCH)) await pause(20);
  const connectionsBefore = quiet.connections();

  for (let n = 0; n < SINGLE; n += 1) {
    await jitter(SINGLE_MS);
    await others[n % OTHERS]!.post(batches(`single-${n}`, 1, 1, ownAccount)[0]!);
    answered.set(`single-${n}-0@example.org`, performance.timeOrigin + performance.now());
  }
  if (messages > 0 && left <= 0) throw new Error(`all ${messages} had left before the last single one was posted`);
  while ([...answered.keys()].some((recipient) => !arrived.has(recipient))) await pause(20);
  const connections = quiet.connections() - connectionsBefore;
  await service.kill();
  busy.close();
  quiet.close();
  return { waits: [...answered].map(([recipient, at]) => Math.max(0, arrived.get(recipient)! - at)), connections };
}

// ----------------------------------------------------------------

const SHARES = [0.5, 0.95, 1];

function called(share: number): string {
  return share === 1 ? "max" : `p${share * 100}`;
}

function note(figures: Figure[], what: string, unit: string, value: number): void {
  const known = figures.find((one) => one.what === what);
  if (known === undefined) figures.push({ what, values: [value], unit });
  else known.values.push(value);
}

/** Give or take a quarter, so that nothing is in step with what recurs. */
function jitter(ms: number): Promise<void> {
  return pause(ms * (0.75 + Math.random() / 2));
}
