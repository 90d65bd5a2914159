import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import Database from "better-sqlite3";
import { eventually } from "../../support/eventually.ts";
import { aMessage } from "../../support/messages.ts";
import { startProcess } from "../../support/processes.ts";
import { startService } from "../../support/service.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mailctl } from "./running-mailctl.ts";

test("a backup is made while mail flows, and restored it goes on from there", async () => {
  const service = await startService();
  const { folder, api, smtp, client } = service;
  const path = join(folder, "mail.db");
  const env = { DB_PATH: path, SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), API_TOKEN: "test-token" };
  const run = (args: string[]) => mailctl(args, { cwd: folder, env });
  await api.post("/account", {
    id: "a",
    host: smtp.host,
    port: smtp.port,
    user: "u",
    password: "S3cret/of-a",
    security: "none",
  });
  await api.addMessages(aMessage({ id: "later", deferred_ts: Math.floor(Date.now() / 1000) + 3600 }));

  const flow = keepSending(service.api.addMessages);
  await smtp.received(20, 20_000);
  const { code, json, stderr } = await run(["backup", "copy.db", "--json"]);
  assert.equal(code, 0, stderr);
  const sent = await flow.stop();
  assert.deepEqual([json.file, json.key], [join(folder, "copy.db"), `${path}.key`]);
  assert.equal(statSync(json.file).mode & 0o777, 0o600);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith("copy.db")),
    ["copy.db"],
  );
  const inCopy = idsIn(json.file);
  assert.ok(inCopy.includes("later") && inCopy.length > 20 && inCopy.length <= sent + 1);

  // Not over another file, not while processes run.
  assert.match((await run(["backup", "copy.db"])).stderr, /copy\.db is there already/);
  const tooEarly = await run(["restore", "copy.db"]);
  assert.equal(tooEarly.code, 1);
  assert.match(tooEarly.stderr, /is open in another process \(.*dispatcher \d+.*\): stop all processes first/);
  await client.reports(sent, 20_000);
  const lastSeq = Math.max(...client.calls.flatMap(({ body }) => body.delivery_report.map(({ seq }) => seq as number)));

  const { processes } = service;
  await Promise.all([processes.api, processes.reporter, ...processes.dispatchers].map((one) => one.stop()));
  const restored = await run(["restore", "copy.db", "--json"]);
  assert.equal(restored.code, 0, restored.stderr);
  assert.equal(restored.json.kept.length, 1);
  assert.deepEqual(idsIn(restored.json.kept[0]).length, sent + 1);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(idsIn(path), inCopy);

  await service.restart();
  assert.equal((await service.api.get("/messages/later")).body.status, "deferred");
  assert.equal((await service.api.post("/account/a/verify")).body.ok, true);
  assert.ok(smtp.logins.some(({ password }) => password === "S3cret/of-a"));
  await service.api.addMessages(aMessage({ id: "after" }));
  const report = await eventually(() =>
    client.calls.flatMap(({ body }) => body.delivery_report).find(({ id }) => id === "after"),
  );
  assert.ok(report.seq > lastSeq);
  await service.stop();
});

function keepSending(addMessages: (...messages: object[]) => Promise<{ status: number }>) {
  let going = true;
  let sent = 0;
  const done = (async () => {
    for (; going; sent++) assert.equal((await addMessages(aMessage({ id: `flow-${sent}` }))).status, 200);
  })();
  return {
    async stop() {
      going = false;
      await done;
      return sent;
    },
  };
}

function idsIn(path: string): string[] {
  const db = new Database(path, { readonly: true });
  const ids = db.prepare<[], string>("SELECT id FROM messages ORDER BY id").pluck().all();
  assert.deepEqual(db.pragma("integrity_check", { simple: true }), "ok");
  db.close();
  return ids;
}

test("what is no backup, is damaged, or has another key is not restored, and nothing is moved", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "mail.db");
  const env = { DB_PATH: path };
  const api = await startProcess("api", { folder });
  await api.listening();
  await api.stop();
  const account = { id: "a", host: "127.0.0.1", port: 25, user: "u", password: "S3cret" };
  await withApi(folder, (post) => post("/account", account));
  const run = (args: string[]) => mailctl(args, { cwd: folder, env });
  assert.equal((await run(["backup", "good.db"])).code, 0);
  assert.match((await run(["backup", "no/such/copy.db"])).stderr, /copy\.db\.unfinished cannot be made: ENOENT/);
  const before = readdirSync(folder).sort();

  writeFileSync(join(folder, "empty.db"), "");
  writeFileSync(join(folder, "text.db"), "no database at all, but long enough to be read as one".repeat(100));
  new Database(join(folder, "other.db")).exec("CREATE TABLE others (x)").close();
  copyFileSync(join(folder, "good.db"), join(folder, "bad.db"));
  damage(join(folder, "bad.db"));
  const faults: [string, RegExp][] = [
    ["empty.db", /empty\.db is empty/],
    ["nowhere.db", /nowhere\.db is not there/],
    ["text.db", /is not a SQLite database/],
    ["other.db", /belongs to another program/],
    ["bad.db", /damaged|malformed/],
    ["mail.db", /is the database itself/],
  ];
  for (const [file, words] of faults) {
    const { code, stderr } = await run(["restore", file]);
    assert.equal(code, 1, file);
    assert.match(stderr, words);
  }
  rmSync(`${path}.key`);
  const { stderr } = await run(["restore", "good.db"]);
  assert.match(
    stderr,
    /encrypted with the key [0-9a-f]{8}, which is neither in .*mail\.db\.key nor in storage\.encryption_key/,
  );
  const left = ["empty.db", "text.db", "other.db", "bad.db", ...before.filter((name) => name !== "mail.db.key")];
  assert.deepEqual(readdirSync(folder).sort(), left.sort());
});

async function withApi(
  folder: string,
  work: (post: (path: string, body: object) => Promise<unknown>) => Promise<unknown>,
) {
  const api = await startProcess("api", { folder });
  const url = await api.listening();
  await work((path, body) =>
    fetch(new URL(path, url), {
      method: "POST",
      headers: { "x-api-token": "test-token", "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  );
  await api.stop();
}

/** The first page of the messages is overwritten. */
function damage(path: string): void {
  const db = new Database(path);
  const page = db.prepare<[], number>("SELECT rootpage FROM sqlite_schema WHERE name = 'messages'").pluck().get()!;
  const size = db.pragma("page_size", { simple: true }) as number;
  db.close();
  const bytes = readFileSync(path);
  bytes.fill(0x7f, (page - 1) * size, page * size);
  writeFileSync(path, bytes);
}

test("a backup is put where no database was, on another machine say", async () => {
  const folder = temporaryFolder();
  await withApi(folder, (post) => post("/tenant", { id: "shop" }));
  const env = { DB_PATH: join(folder, "mail.db") };
  assert.equal((await mailctl(["backup", "copy.db"], { cwd: folder, env })).code, 0);
  const elsewhere = join(folder, "new/place/mail.db");
  const { code, stdout, stderr } = await mailctl(["restore", "copy.db"], { cwd: folder, env: { DB_PATH: elsewhere } });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /mail\.db is the backup now, checked\. There was none before\./);
  assert.equal(statSync(elsewhere).mode & 0o777, 0o600);
});

test("rotate-key: the secrets go on with another key, while everything runs", async () => {
  const service = await startService();
  const { folder, api, smtp } = service;
  const env = { DB_PATH: join(folder, "mail.db") };
  await api.post("/account", {
    id: "a",
    host: smtp.host,
    port: smtp.port,
    user: "u",
    password: "S3cret/of-a",
    security: "none",
  });
  const { code, json, stderr } = await mailctl(["rotate-key", "--json"], { cwd: folder, env });
  assert.equal(code, 0, stderr);
  assert.deepEqual([json.resealed, json.unopened, json.old.length], [1, 0, 1]);
  assert.notEqual(json.keyId, json.old[0]);
  assert.equal((await api.post("/account/a/verify")).body.ok, true);
  await service.stop();

  const empty = temporaryFolder();
  const nothing = await mailctl(["rotate-key"], { cwd: empty });
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /storage\.db_path: .* is not there: nothing is encrypted yet/);
  assert.equal(existsSync(join(empty, "data")), false);
});
