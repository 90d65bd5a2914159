import assert from "node:assert/strict";
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import test from "node:test";
import Database from "better-sqlite3";
import { apiClient } from "../../support/api-client.ts";
import { eventually } from "../../support/eventually.ts";
import { aMessage } from "../../support/messages.ts";
import { startProcess } from "../../support/processes.ts";
import { makePythonServiceFile } from "../../support/python-service-file.ts";
import { type Service, startService } from "../../support/service.ts";
import { NO_MOUNT, smallDisk } from "../../support/small-disk.ts";
import { startSmtpServer } from "../../support/smtp-server.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mailctl } from "./running-mailctl.ts";

type Finding = { check: string; state: string; text: string; todo?: string };

/** As the processes of a service are configured, and where its API listens. */
async function environmentOf(service: Service): Promise<Record<string, string>> {
  const { port } = new URL(await service.processes.api.listening());
  return {
    DB_PATH: join(service.folder, "mail.db"),
    HOST: "127.0.0.1",
    PORT: port,
    API_TOKEN: "test-token",
    SMTP_HOST: service.smtp.host,
    SMTP_PORT: String(service.smtp.port),
    SMTP_SECURITY: "none",
    PROXY_SYNC_URL: service.client.url,
  };
}

async function examine(cwd: string, env: Record<string, string>, ...args: string[]) {
  const { code, json, stderr } = await mailctl(["doctor", "--json", ...args], { cwd, env });
  assert.ok(json !== undefined, stderr);
  const findings: Finding[] = json.findings;
  const problems = findings.filter(({ state }) => state === "problem");
  assert.equal(code, problems.length === 0 ? 0 : 1, stderr);
  assert.equal(json.ok, problems.length === 0);
  for (const { todo } of problems) assert.ok(todo, "each problem says what to do");
  return { findings, problems, said: problems.map(({ check, text }) => `${check}: ${text}`).join("\n") };
}

test("a service that works: nothing is found, and nothing changed", async () => {
  const service = await startService();
  const env = await environmentOf(service);
  await service.api.addMessages(aMessage());
  await service.client.reports(1);
  const calls = service.client.calls.length;
  const { problems, findings } = await examine(service.folder, env);
  assert.deepEqual(problems, []);
  const named = findings.map(({ check }) => check);
  for (const check of [
    "configuration",
    "database",
    "key",
    "token",
    "disk",
    "api",
    "dispatcher",
    "reporter",
    "account",
    "client",
    "mail",
  ])
    assert.ok(named.includes(check), check);
  assert.equal(service.client.calls.length, calls);
  const shown = await mailctl(["doctor"], { cwd: service.folder, env });
  assert.match(shown.stdout, /^ok +dispatcher +dispatcher \d+ is ready$/m);
  await service.stop();
});

test("faults of a service that runs, each in plain words", async () => {
  const service = await startService();
  const { folder, api } = service;
  const env = await environmentOf(service);
  const untrusted = await startSmtpServer({ tls: "implicit" });
  const choosy = await startSmtpServer({ script: { onAuth: () => ({ code: 535, text: "5.7.8 Wrong password" }) } });
  const silent = await silentServer();
  const closed = await closedPort();
  const login = { user: "u", password: "S3cret", security: "none" };
  for (const account of [
    { id: "no-dns", host: "no-such-host.invalid", ...login },
    { id: "no-tcp", host: "127.0.0.1", port: closed, ...login },
    { id: "no-tls", host: "127.0.0.1", port: untrusted.port, ...login, security: "tls" },
    { id: "no-auth", host: "127.0.0.1", port: choosy.port, ...login },
    { id: "stalls", host: "127.0.0.1", port: silent.port, ...login },
    { id: "on-hold", host: service.smtp.host, port: service.smtp.port, ...login },
  ])
    assert.equal((await api.post("/account", account)).status, 200);
  await api.post("/account/on-hold/hold", { reason: "moving house" });
  await api.post("/tenant", { id: "shop", client_base_url: `http://127.0.0.1:${closed}` });
  await api.post("/commands/suspend?tenant_id=shop&batch_code=spring");
  await api.post("/commands/suspend");

  const startedMs = performance.now();
  const { said, problems } = await examine(folder, env, "--timeout", "3");
  assert.ok(performance.now() - startedMs < 15_000, "one that stalls holds up no other");
  assert.match(said, /^account: no-dns: DNS: no-such-host\.invalid:587: no address for this name/m);
  assert.match(said, /^account: no-tcp: TCP: 127\.0\.0\.1:\d+: no connection \(ECONNREFUSED\)/m);
  assert.match(said, /^account: no-tls: TLS: .*the certificate is not trusted/m);
  assert.match(said, /^account: no-auth: login: .*535 5\.7\.8 Wrong password/m);
  assert.match(said, /^account: stalls: login: the login was not answered within 3 s/m);
  assert.match(said, /^account: on-hold is held: moving house/m);
  assert.match(said, new RegExp(`^client: shop: http://127\\.0\\.0\\.1:${closed}: TCP: .*ECONNREFUSED`, "m"));
  assert.match(said, /^suspended: the service is suspended: nothing is sent/m);
  assert.match(said, /^suspended: batch spring of the tenant shop is suspended/m);
  assert.equal(
    problems.find(({ text }) => text.includes("batch spring"))?.todo,
    "mailctl activate --tenant shop --batch spring",
  );
  // Looking ended no hold of an operator's.
  assert.equal((await api.get("/account/on-hold")).body.state, "held");
  assert.equal(said.includes("S3cret"), false);

  const other = await examine(folder, { ...env, API_TOKEN: "another" });
  assert.match(other.said, /^api: http:\/\/127\.0\.0\.1:\d+ does not take the token that is configured here/m);
  const nobody = await examine(folder, { ...env, PORT: String(closed), PROXY_SYNC_URL: `http://127.0.0.1:${closed}/` });
  assert.match(nobody.said, /^api: nobody answers at http:\/\/127\.0\.0\.1:\d+/m);
  assert.match(nobody.said, /^client: http:\/\/127\.0\.0\.1:\d+\/: TCP: /m);
  await service.stop();
  await Promise.all([untrusted.close(), choosy.close()]);
  silent.close();
});

test("a client that does not acknowledge, and mail that nobody tries to send", async () => {
  const service = await startService({ dispatchers: 0, config: "[delivery]\nstalled_after_seconds = 1\n" });
  const env = await environmentOf(service);
  service.client.answer = () => ({ status: 401, body: { error: "who are you" } });
  await service.api.addMessages(aMessage({ id: "forgotten" }));
  await service.api.post("/commands/run-now");
  await service.client.called(1);
  const said = await eventually(async () => {
    const { said } = await examine(service.folder, env);
    return /^mail: /m.test(said) && /acknowledge/.test(said) && said;
  }, 20_000);
  assert.match(said, /^dispatcher: no dispatcher is running: nothing is sent/m);
  assert.match(said, /^client: .*it did not acknowledge the last call: .*401/m);
  assert.match(
    said,
    /^mail: mail of default could have gone out \d+ s ago, and nobody tries to send it: no dispatcher is running/m,
  );
  await service.stop();
});

test("faults of the file and of what stands beside it, with nothing running", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "mail.db");
  const env = { DB_PATH: path, PORT: String(await closedPort()), API_TOKEN: "test-token", SMTP_HOST: "127.0.0.1" };
  const said = async (more: Record<string, string> = {}) => (await examine(folder, { ...env, ...more })).said;

  assert.match(await said(), /^database: .*mail\.db is not there: no process has started with this configuration yet/m);
  assert.throws(() => statSync(path), "looking makes no file");
  const api = await startProcess("api", { folder });
  const { status } = await apiClient(await api.listening()).post("/account", {
    id: "a",
    host: "127.0.0.1",
    port: 25,
    user: "u",
    password: "S3cret",
    security: "none",
  });
  assert.equal(status, 200);
  await api.stop();

  const before = readFileSync(path);
  assert.match(await said(), /^reporter: no reporter is running: nothing is reported/m);
  assert.match(await said({ API_TOKEN: "" }), /^token: there is no server\.api_token, and no .*mail\.db\.token/m);
  assert.ok(readFileSync(path).equals(before), "looking changes nothing");

  chmodSync(path, 0o644);
  assert.match(await said(), /^file modes: others than its owner may read .*mail\.db \(mode 644\)/m);
  chmodSync(path, 0o600);

  const key = readFileSync(`${path}.key`);
  rmSync(`${path}.key`);
  assert.match(
    await said(),
    /^key: the passwords in the database are encrypted with the key [0-9a-f]{8}, which is neither in/m,
  );
  writeFileSync(`${path}.key`, "no key\n");
  assert.match(await said(), /^key: .*mail\.db\.key is damaged/m);
  writeFileSync(`${path}.key`, key);

  setVersion(path, 999);
  assert.match(
    await said(),
    /^database: the database has schema 999, this program knows \d+: it is used by a newer version/m,
  );
  writeFileSync(path, before);
  writeFileSync(path, damaged(before, path));
  assert.match(await said(), /^database: .*(damaged|malformed)/m);
});

test("files that are not ours", async () => {
  const folder = temporaryFolder();
  const said = async (name: string) => (await examine(folder, { DB_PATH: join(folder, name), PORT: "1" })).said;
  makePythonServiceFile(join(folder, "python.db"), { host: "127.0.0.1", port: 25 });
  assert.match(
    await said("python.db"),
    /^database: the database belongs to the Python mail service: .*mailctl import/m,
  );
  new Database(join(folder, "other.db")).exec("CREATE TABLE others (x)").close();
  assert.match(
    await said("other.db"),
    /^database: the database belongs to another program \(it has the table "others"\)/m,
  );
  writeFileSync(join(folder, "text.db"), "no database at all, but long enough to be read as one".repeat(100));
  assert.match(await said("text.db"), /^database: .*text\.db is not a SQLite database/m);
});

test("a configuration with faults: each is named, and nothing else looked at", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "config.ini"), "[server]\nport = many\n[smtp]\nhots = x\n");
  const { said, findings } = await examine(folder, {});
  assert.match(said, /^configuration: \[server\] port = "many" \(config\.ini line 2\): wanted a whole number/m);
  assert.match(said, /^configuration: \[smtp\] hots = "x" .*did you mean host\?/m);
  assert.equal(findings.at(-1)?.state, "skipped");
});

test("a disk that is nearly full", async (t) => {
  const disk = smallDisk(16);
  if (disk === null) return t.skip(NO_MOUNT);
  const api = await startProcess("api", { folder: disk.folder });
  await api.listening();
  await api.stop();
  disk.putBallast(-300_000);
  const { said } = await examine(disk.folder, { DB_PATH: join(disk.folder, "mail.db"), PORT: "1" });
  assert.match(said, /^disk: the disk of the database is nearly full: .* are free, .*: new messages are refused/m);
  disk.remove();
});

function setVersion(path: string, version: number): void {
  const db = new Database(path);
  db.pragma(`user_version = ${version}`);
  db.close();
}

/** The first page of an index is overwritten. */
function damaged(whole: Buffer, path: string): Buffer {
  const db = new Database(path);
  const page = db.prepare<[], number>("SELECT rootpage FROM sqlite_schema WHERE name = 'messages_list'").pluck().get()!;
  const size = db.pragma("page_size", { simple: true }) as number;
  db.close();
  return Buffer.from(whole).fill(0x7f, (page - 1) * size, page * size);
}

/** Takes connections, and says nothing. */
async function silentServer(): Promise<{ port: number; close(): void }> {
  const server = createServer();
  server.unref();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as { port: number }).port, close: () => void server.close() };
}

async function closedPort(): Promise<number> {
  const server = await silentServer();
  server.close();
  return server.port;
}
