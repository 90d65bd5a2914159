import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { openStore } from "@async-mail/db/sqlite/open";
import type { Keys } from "@async-mail/db/store";
import Database from "better-sqlite3";
import { apiClient } from "../support/api-client.ts";
import { keysBeside, openedAt } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { status, versioned } from "../support/file-answers.ts";
import { type FileAnswer, startFileServer } from "../support/file-server.ts";
import { aCheckedAccount, aCheckedMessage, aMessage, anAccount } from "../support/messages.ts";
import { type Proc, startProcess } from "../support/processes.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import { NO_MOUNT, smallDisk } from "../support/small-disk.ts";
import { startSmtpServer } from "../support/smtp-server.ts";
import { startSyncClient } from "../support/sync-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { FIRST_RELEASE, makeFirstReleaseFile } from "./first-release.ts";
import { fullRun, idOfKey, keysIn } from "./full-run.ts";
import { assertNothingLost, startPosting } from "./posting.ts";
import { rotateKey, startRotating } from "./rotating.ts";
import { dumpOf, filesBelow, findings, type Place } from "./secret-search.ts";

const KINDS = ["api", "dispatcher", "reporter"] as const;
const BOOT = { bootId: "boot", monotonicMs: 1_000, wallMs: 1_800_000_000_000 };

const freshKey = () => randomBytes(32).toString("base64");
const allOf = ({ processes: { api, dispatchers, reporter } }: Service) => [api, ...dispatchers, reporter];
const places = (findings: string[]) => findings.map((finding) => finding.replace(/ \(.*\)$/, ""));

// ---------------------------------------------------------------- a full run

describe("a search for every secret used", () => {
  it("finds none after a full run: in database, cache, logs, answers, metrics, reports and mails", async (t) => {
    const { service, secrets, secretFiles, said, stop } = await fullRun(t);
    const { folder } = service;
    const running = [...(await said()), ...filesBelow(folder, secretFiles)];
    await stop();
    const stopped = [...filesBelow(folder, secretFiles), ...dumpOf(join(folder, "mail.db"))];
    assert.deepEqual(findings([...running, ...stopped], secrets), []);

    // What is no secret is found by the same search, wherever it stands; and what is, where it may.
    const known = { "a message's id": service.smtp.messages[0]!.to[0]!, "an account": "own" };
    const found = places(findings([...running, ...stopped], known));
    for (const place of ["mail.db", "mail.db-wal", "table payloads", "answer to GET /messages", "mails"])
      assert.ok(found.includes(`a message's id: ${place}`), `${place} of ${found.join("\n")}`);
    for (const place of ["output of dispatcher", "metrics of api", "reports to the client good"])
      assert.ok(found.includes(`an account: ${place}`), `${place} of ${found.join("\n")}`);
    assert.deepEqual(places(findings(filesBelow(folder), secrets)), [
      "API token: mail.db.token",
      "encryption key: mail.db.key",
    ]);
  });

  it("knows a secret in every form, at any place of a header, a URL or JSON", () => {
    const secret = 'a "pass/word" & ä+=?';
    const basic = ["", "u", "us", "use"].map((user) => Buffer.from(`${user}:${secret}:more`).toString("base64"));
    const url = new URL("http://user@host");
    url.password = secret;
    const texts = [
      secret,
      JSON.stringify({ secret }),
      encodeURIComponent(secret),
      url.href,
      `${new URLSearchParams({ secret })}`,
      ...basic.map((text) => `Basic ${text}`),
      ...basic.map((text) => Buffer.from(text, "base64").toString("base64url")),
      Buffer.from(secret).toString("hex"),
    ];
    for (const text of texts)
      assert.equal(findings([{ place: "here", bytes: Buffer.from(`x${text}x`) }], { it: secret }).length, 1, text);
  });
});

// ---------------------------------------------------------------- a file of the first release

const { user, secrets: SECRETS_OF_THEN } = FIRST_RELEASE;

const plainIn = (folder: string) => places(findings(filesBelow(folder), SECRETS_OF_THEN));

describe("a file of the first release", () => {
  /** The three processes, on such a file, between servers that take the logins of then and no others. */
  async function startOnFirstRelease(t: TestContext, path: string) {
    const refused: string[] = [];
    const wanted = `Basic ${Buffer.from(`user:${SECRETS_OF_THEN.urlPassword}`).toString("base64")}`;
    const file: FileAnswer = ({ url = "", headers }, response) => {
      const isRight = url.endsWith(`?signature=${SECRETS_OF_THEN.signature}`) && headers.authorization === wanted;
      if (!isRight) refused.push(url);
      response.writeHead(isRight ? 200 : 404).end("a file of then");
    };
    const paths = FIRST_RELEASE.waiting.map((id) => [`/${id}.txt`, file] as const);
    const files = await startFileServer(Object.fromEntries(paths), { host: "127.0.0.2" });
    const smtp = await startSmtpServer({
      auth: "required",
      script: {
        onAuth: (login) =>
          login.user === user && login.password === SECRETS_OF_THEN.password ? undefined : { code: 535, text: "no" },
      },
    });
    const client = await startSyncClient();
    makeFirstReleaseFile(path, smtp, files);
    const start = async () => {
      const config = "[attachments]\nallow_hosts = 127.0.0.2\n";
      const options = { folder: join(path, ".."), config, env: { PROXY_SYNC_URL: client.url } };
      const procs = await Promise.all(KINDS.map((kind) => startProcess(kind, options)));
      const [url] = await Promise.all(procs.map((proc) => proc.listening()));
      return { api: apiClient(url!), stop: () => Promise.all(procs.map((proc) => proc.stop())) };
    };
    t.after(() => Promise.all([files.close(), smtp.close(), client.close()]));
    return { smtp, client, refused, start };
  }

  it("is the tenant default's, its mail goes out, and nothing plain is left in the bytes of file and log", async (t) => {
    const folder = temporaryFolder();
    const path = join(folder, "mail.db");
    const { smtp, client, refused, start } = await startOnFirstRelease(t, path);
    const all = Object.keys(SECRETS_OF_THEN).map((name) => `${name}: mail.db`);
    assert.deepEqual(plainIn(folder), all, "it is plain before");

    const { api, stop } = await start();
    await smtp.received(FIRST_RELEASE.waiting.length, 20_000);
    await client.reports(FIRST_RELEASE.waiting.length + FIRST_RELEASE.unreported.length, 20_000);
    assert.deepEqual(
      smtp.messages.map(({ to }) => to[0]).toSorted(),
      FIRST_RELEASE.waiting.map((id) => `${id}@example.org`),
    );
    for (const { raw } of smtp.messages) assert.match(raw.toString(), /filename=waiting-\d\.txt/);
    assert.deepEqual(refused, [], "their addresses are whole");
    const ids = [...FIRST_RELEASE.waiting, ...FIRST_RELEASE.unreported, ...FIRST_RELEASE.reported];
    for (const query of ["", "?tenant_id=default"]) {
      const { body } = await api.get(`/messages${query}`);
      assert.deepEqual(body.messages.map(({ id }: { id: string }) => id).toSorted(), ids.toSorted());
    }
    const { accounts } = (await api.get("/accounts?tenant_id=default")).body;
    assert.deepEqual(
      accounts.map((one: { id: string; has_password: boolean }) => [one.id, one.has_password]),
      [["of-then", true]],
    );
    await eventually(
      () => plainIn(folder).length === 0,
      20_000,
      () => `the end of ${plainIn(folder)}`,
    );
    await stop();
    assert.deepEqual(plainIn(folder), []);
    const db = new Database(path, { readonly: true });
    for (const table of ["messages", "queues"])
      assert.deepEqual(db.prepare(`SELECT DISTINCT tenant_id FROM ${table}`).pluck().all(), ["default"], table);
    db.close();
  });

  it("is clean as soon as it is open, where nobody else reads in it", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "mail.db");
    makeFirstReleaseFile(path, { host: "127.0.0.1", port: 25 });
    const store = await openedAt(path, BOOT);
    assert.deepEqual(plainIn(folder), []);
    assert.ok(statSync(`${path}-wal`).size < 10_000, "emptied");
    await store.close();
  });

  it("is cleaned of what was deleted, though no secret is left in its rows", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "mail.db");
    makeFirstReleaseFile(path, { host: "127.0.0.1", port: 25 });
    const db = new Database(path);
    db.exec("DELETE FROM accounts; DELETE FROM payloads");
    db.close();
    assert.ok(plainIn(folder).length > 0);
    await (await openedAt(path, BOOT)).close();
    assert.deepEqual(plainIn(folder), []);
  });

  it("opens on a disk without room for it twice, and is cleaned once there is", async (t) => {
    const disk = smallDisk(24);
    if (!disk) return t.skip(NO_MOUNT);
    t.after(disk.remove);
    const path = join(disk.folder, "mail.db");
    makeFirstReleaseFile(path, { host: "127.0.0.1", port: 25 });
    const db = new Database(path);
    const insert = db.prepare("INSERT INTO contents (message, position, bytes) VALUES (1, ?, zeroblob(1000000))");
    for (let position = 0; position < 4; position++) insert.run(position);
    // They have taken the pages that were free.
    db.exec(`CREATE TABLE deleted AS SELECT '${SECRETS_OF_THEN.deletedPassword}'; DROP TABLE deleted`);
    db.close();
    disk.putBallast(-4_000_000);
    const store = await openedAt(path, BOOT);
    await store.housekeeping.checkpoint();
    assert.ok(plainIn(disk.folder).length > 0);
    disk.removeBallast();
    await store.housekeeping.checkpoint();
    assert.deepEqual(plainIn(disk.folder), []);
    await store.close();
  });

  it("is cleaned once the last one has read in it that began before; the log does not grow until then", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "mail.db");
    makeFirstReleaseFile(path, { host: "127.0.0.1", port: 25 });
    const reader = readingIn(path);
    const store = await openedAt(path, BOOT);
    const { size } = statSync(`${path}-wal`);
    for (let i = 0; i < 5; i++) await store.housekeeping.checkpoint();
    assert.ok(plainIn(folder).length > 0, "the reader still needs it");
    assert.equal(statSync(`${path}-wal`).size, size);
    reader.close();
    await store.housekeeping.checkpoint();
    assert.deepEqual(plainIn(folder), []);
    await store.close();
  });

  it("is cleaned by the reporter, though another has it open for reading when the processes start", async (t) => {
    const folder = temporaryFolder();
    const path = join(folder, "mail.db");
    const { smtp, start } = await startOnFirstRelease(t, path);
    const reader = readingIn(path);
    const { stop } = await start();
    await smtp.received(FIRST_RELEASE.waiting.length, 20_000);
    assert.ok(plainIn(folder).length > 0, "the reader still needs it");
    reader.close();
    await eventually(
      () => plainIn(folder).length === 0,
      20_000,
      () => `the end of ${plainIn(folder)}`,
    );
    await stop();
  });
});

/** In a transaction, as a backup is. */
function readingIn(path: string): Database.Database {
  const reader = new Database(path);
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM messages").get();
  return reader;
}

// ---------------------------------------------------------------- rotation

const PASSWORDS: Record<string, string> = {
  default: "password of default",
  own: "password of own",
  app: "password of app",
};
const SIGNATURE = "signature-of-rotation";
const CLIENT_TOKEN = "token-of-the-client";

/** The service between servers that take right passwords, signatures and tokens only, with an account of each kind. */
async function startGuarded(t: TestContext, options: ServiceOptions = {}) {
  const wrong: string[] = [];
  // Known again by its etag: otherwise each message has it fetched anew, and what others have fetched replaced.
  const file = versioned("a file", { etag: '"1"' });
  const signed: FileAnswer = (request, response, count) => {
    const { url = "" } = request;
    const isRight = url.endsWith(`?signature=${SIGNATURE}`);
    if (!isRight) wrong.push(`signature of ${url}`);
    (isRight ? file : status(404))(request, response, count);
  };
  const files = await startFileServer({ "/file": signed }, { host: "127.0.0.2" });
  const app = await startSyncClient({
    answer: ({ headers }) => {
      if (headers.authorization === `Bearer ${CLIENT_TOKEN}`) return {};
      wrong.push(`login of ${headers.authorization}`);
      return { status: 401 };
    },
  });
  const service = await startService({
    ...options,
    config: "[attachments]\nallow_hosts = 127.0.0.2\n",
    env: { SMTP_USER: "default", SMTP_PASSWORD: PASSWORDS.default!, ...options.env },
    smtp: {
      auth: "required",
      script: {
        onAuth: ({ user, password }) => {
          if (PASSWORDS[user] === password) return undefined;
          wrong.push(`password of ${user}`);
          return { code: 535, text: "5.7.8 no" };
        },
      },
    },
  });
  t.after(() => Promise.all([service.stop(), files.close(), app.close()]));
  const { host, port } = service.smtp;
  const account = (id: string, name: string) => anAccount({ id, host, port, user: name, password: PASSWORDS[name] });
  await service.api.post("/account", account("own", "own"));
  await service.api.post("/account", account("untried", "own"));
  await service.api.post("/tenant", {
    id: "app",
    client_base_url: `http://127.0.0.1:${app.port}`,
    client_auth: { method: "bearer", token: CLIENT_TOKEN },
  });
  await service.api.post("/account?tenant_id=app", account("own", "app"));
  const attachments = [{ url: `${files.url("/file")}?signature=${SIGNATURE}` }];
  return { service, app, wrong, attachments };
}

type Guarded = Awaited<ReturnType<typeof startGuarded>>;

/** With each of its passwords and secrets, also of an account that no process has used yet. */
async function assertAllWorks({ service, app, wrong, attachments }: Guarded, name: string): Promise<void> {
  const { api, smtp } = service;
  const before = smtp.messages.length;
  const calls = app.calls.length;
  const id = (what: string) => `${name}-${what}`;
  const posted = await api.addMessages(
    aMessage({ id: id("default"), attachments }),
    aMessage({ id: id("own"), account_id: "own", attachments }),
    aMessage({ id: id("untried"), account_id: "untried" }),
  );
  assert.equal(posted.body.queued, 3, posted.text);
  const ofApp = aMessage({ id: id("app"), account_id: "own", attachments });
  assert.equal((await api.post("/commands/add-messages?tenant_id=app", { messages: [ofApp] })).body.queued, 1);
  await smtp.received(before + 4, 20_000);
  await app.called(calls + 1, 20_000);
  for (const account of ["own", "untried"])
    assert.equal((await api.post(`/account/${account}/verify`)).body.ok, true, account);
  assert.deepEqual(wrong, []);
  for (const proc of allOf(service)) {
    const troubles = proc.log.filter(({ level, event }) => level === "error" || event === "stopping");
    assert.deepEqual(troubles, [], proc.kind);
  }
}

/** Sealed with that key, in the rows and, once it is scrubbed, anywhere in the file. */
const sealedWith = (places: Place[], id: string) => findings(places, { sealed: `v1:${id}:` });

async function assertGone(folder: string, id: string): Promise<void> {
  assert.deepEqual(sealedWith(dumpOf(join(folder, "mail.db")), id), []);
  const left = () => sealedWith(filesBelow(folder), id);
  await eventually(
    () => left().length === 0,
    20_000,
    () => `the end of ${left()}`,
  );
}

describe("rotation", () => {
  it("while mail flows loses and refuses nothing; nothing is sealed with the old key after it, twice over", async (t) => {
    const guarded = await startGuarded(t);
    const { service, attachments } = guarded;
    const { folder } = service;
    const keyFile = join(folder, "mail.db.key");
    const posting = startPosting(t, service, { account_id: "own", attachments });
    for (const round of [1, 2]) {
      await posting.acceptedMore(20);
      const [old] = keysIn(keyFile);
      const { code, said } = await rotateKey(folder);
      assert.equal(code, 0, said);
      const [key, ...others] = keysIn(keyFile);
      assert.deepEqual(others, [], `round ${round}: the old one is gone`);
      assert.notEqual(key, old);
      const [newId, oldId] = [idOfKey(key!), idOfKey(old!)];
      assert.match(said, new RegExp(`encrypted with the key ${newId} now \\(\\d+ encrypted anew\\)`));
      assert.match(said, new RegExp(`backup of the database from before .* the old key \\(${oldId}\\)`));
      await posting.acceptedMore(20);
      await assertGone(folder, oldId);
      assert.ok(sealedWith(dumpOf(join(folder, "mail.db")), newId).length > 0, "the search finds what is there");
    }
    await posting.stop();
    assert.equal(posting.refused.size, 0);
    await assertNothingLost(service, posting);
    await assertAllWorks(guarded, "after");
    assert.deepEqual(await service.stop(), [0, 0, 0]);
  });

  it("to a configured key: with the new one before the old one, then with the new one alone", async (t) => {
    const [OLD, NEW] = [freshKey(), freshKey()];
    const guarded = await startGuarded(t, { env: { ENCRYPTION_KEY: OLD } });
    const { service } = guarded;
    const { folder } = service;
    await assertAllWorks(guarded, "old");
    const alone = await rotateKey(folder, { ENCRYPTION_KEY: OLD });
    assert.equal(alone.code, 1);
    assert.match(alone.said, new RegExp(`^mailctl: nothing to be done: the configured key, ${idOfKey(OLD)}, .*\\n$`));

    const both = { ENCRYPTION_KEY: `${NEW},${OLD}` };
    await service.restart(both);
    await assertAllWorks(guarded, "both");
    const { code, said } = await rotateKey(folder, both);
    assert.equal(code, 0, said);
    assert.match(said, new RegExp(`The old key \\(${idOfKey(OLD)}\\) may be removed from the configuration now`));
    await assertAllWorks(guarded, "rotated");
    await assertGone(folder, idOfKey(OLD));
    await service.restart({ ENCRYPTION_KEY: NEW });
    await assertAllWorks(guarded, "new");
    assert.equal(existsSync(join(folder, "mail.db.key")), false);
  });

  it("from the file's key to a configured one removes the file", async (t) => {
    const guarded = await startGuarded(t);
    const { service } = guarded;
    const { folder } = service;
    const keyFile = join(folder, "mail.db.key");
    const [old] = keysIn(keyFile);
    const configured = { ENCRYPTION_KEY: freshKey() };
    await service.restart(configured);
    const { code, said } = await rotateKey(folder, configured);
    assert.equal(code, 0, said);
    assert.match(said, /It is the configured one; .*mail\.db\.key, with the old key in it, was removed\./);
    assert.equal(existsSync(keyFile), false);
    await assertAllWorks(guarded, "after");
    await assertGone(folder, idOfKey(old!));
  });

  it("that is killed in the middle harms nothing, and the next one ends what it began", async (t) => {
    const guarded = await startGuarded(t);
    const { service, attachments } = guarded;
    const { folder } = service;
    const keyFile = join(folder, "mail.db.key");
    const deferred_ts = Math.floor(Date.now() / 1000) + 3600;
    for (let i = 0; i < 5; i++) {
      const { body } = await service.api.addMessages(
        ...Array.from({ length: 1000 }, () => aMessage({ account_id: "own", deferred_ts, attachments })),
      );
      assert.equal(body.queued, 1000);
    }
    const [old] = keysIn(keyFile);
    const look = new Database(join(folder, "mail.db"), { readonly: true, timeout: 5000 });
    t.after(() => look.close());
    const sealed = (id: string) =>
      look.prepare<[string], number>("SELECT count(*) FROM payloads WHERE payload LIKE ?").pluck().get(`%"v1:${id}:%`)!;

    const rotating = startRotating(folder);
    await eventually(() => rotating.exit() ?? sealed(idOfKey(old!)) < 5000, 20_000, "the first rows sealed anew");
    rotating.kill("SIGKILL");
    assert.equal((await rotating.exited()).signal, "SIGKILL", rotating.output());
    const [key, ...others] = keysIn(keyFile);
    assert.deepEqual(others, [old], "both keys are kept");
    assert.ok(sealed(idOfKey(old!)) > 0 && sealed(idOfKey(key!)) > 0, "it was in the middle");
    await assertAllWorks(guarded, "killed");
    await service.restart();
    await assertAllWorks(guarded, "restarted");

    const { code, said } = await rotateKey(folder);
    assert.equal(code, 0, said);
    const [last, ...more] = keysIn(keyFile);
    assert.deepEqual(more, []);
    assert.equal(sealed(idOfKey(last!)), 5000 + 2 * 3);
    for (const id of [old!, key!].map(idOfKey)) await assertGone(folder, id);
    await assertAllWorks(guarded, "after");
  });

  it("beside another one drops no key that a row still needs", async (t) => {
    const guarded = await startGuarded(t);
    const { service, attachments } = guarded;
    const { folder } = service;
    const keyFile = join(folder, "mail.db.key");
    const deferred_ts = Math.floor(Date.now() / 1000) + 3600;
    await service.api.addMessages(
      ...Array.from({ length: 1000 }, () => aMessage({ account_id: "own", deferred_ts, attachments })),
    );
    const [old] = keysIn(keyFile);
    const all = await Promise.all(Array.from({ length: 3 }, () => rotateKey(folder)));
    for (const { code, said } of all) assert.equal(code, 0, said);
    assert.equal(keysIn(keyFile).length, 1);
    await assertAllWorks(guarded, "after");
    await service.restart();
    await assertAllWorks(guarded, "restarted");
    await assertGone(folder, idOfKey(old!));
  });

  it("that ends after another one has begun, and died, keeps the keys that rows still need", async () => {
    const path = join(temporaryFolder(), "mail.db");
    const now = { wallMs: BOOT.wallMs, steadyMs: BOOT.wallMs };
    const store = await openedAt(path, BOOT);
    await store.accounts.put(aCheckedAccount({ password: "hunter-2" }), { keepPassword: false }, now);
    const attachments = [{ url: `http://files.example/file?signature=${SIGNATURE}` }];
    const payload = { ...aCheckedMessage().payload, attachments };
    const messages = Array.from({ length: 3000 }, () => aCheckedMessage({ accountId: "account-1", payload }));
    await store.messages.enqueue(messages, now);

    const ring = keysBeside(path);
    const [first] = ring.ids();
    let named = false;
    const keys: Keys = {
      ...ring,
      add() {
        named = true;
        return ring.add();
      },
      find(id) {
        if (named) throw new Error("killed");
        return ring.find(id);
      },
    };
    const dying = await openStore({ path, synchronous: "full", sandbox: false, boot: BOOT, keys });
    const rotating = store.rotateKey();
    await eventually(() => keysBeside(path).newest()?.id !== first, 5000, "the first one's key");
    await assert.rejects(dying.rotateKey(), /killed/);
    await rotating;
    await Promise.all([store.close(), dying.close()]);

    const again = await openedAt(path, BOOT);
    const { resealed, unopened } = await again.rotateKey();
    assert.deepEqual({ resealed, unopened }, { resealed: 3001, unopened: 0 });
    assert.equal(keysBeside(path).ids().length, 1);
    await again.close();
  });

  it("is refused where there is no database, and makes none", async () => {
    const folder = temporaryFolder();
    const { code, said } = await rotateKey(folder);
    assert.equal(code, 1);
    assert.match(said, /^mailctl: storage\.db_path: .*mail\.db is not there: nothing is encrypted yet\n$/);
    assert.equal(existsSync(join(folder, "mail.db")), false);
  });
});

// ---------------------------------------------------------------- a key that is lost, a row that was changed

/** The folder of a service that was stopped, with an account's password in its database; or without. */
async function stoppedService(t: TestContext, env: Record<string, string> = {}, password: string | null = "hunter-2") {
  const service = await startService({ env });
  t.after(() => service.stop());
  const account = anAccount({ id: "own", ...(password === null ? {} : { user: "own", password }) });
  assert.equal((await service.api.post("/account", account)).status, 200);
  await Promise.all(allOf(service).map((proc) => proc.stop()));
  return service;
}

async function assertRefused(folder: string, env: Record<string, string>, said: RegExp): Promise<void> {
  const files = () => filesBelow(folder).map(({ place, bytes }) => [place, bytes.toString("base64")]);
  const before = files();
  const procs = await Promise.all(KINDS.map((kind) => startProcess(kind, { folder, env })));
  for (const proc of procs) {
    assert.equal((await proc.exited()).code, 1, proc.kind);
    assert.match((await proc.logged("stopped")).reason, said);
    assert.doesNotMatch(proc.stdout(), /"stack"|nobody caught/, "no riddle for the operator");
  }
  const rotated = await rotateKey(folder, env);
  assert.equal(rotated.code, 1);
  assert.match(rotated.said, new RegExp(`^mailctl: ${said.source}.*\\n$`));
  assert.deepEqual(files(), before);
}

const madeBy = (procs: Proc[]) => procs.flatMap(({ log }) => log.filter(({ event }) => event === "key_made"));

describe("a key that is missing", () => {
  const MISSING =
    /secrets in the database are encrypted with the key [0-9a-f]{8}, which is neither in .*mail\.db\.key nor in storage\.encryption_key: put it back there/;

  it("is asked for where secrets are in the file, and nothing is changed; put back, all goes on", async (t) => {
    const service = await stoppedService(t);
    const { folder } = service;
    const keyFile = join(folder, "mail.db.key");
    renameSync(keyFile, join(folder, "elsewhere"));
    await assertRefused(folder, {}, MISSING);
    assert.equal(existsSync(keyFile), false, "no other is made");
    await assertRefused(folder, { ENCRYPTION_KEY: freshKey() }, MISSING);
    renameSync(join(folder, "elsewhere"), keyFile);
    await service.restart();
    assert.equal((await service.api.get("/account/own")).body.has_password, true);
  });

  it("is asked for where another one is configured than that in use", async (t) => {
    const { folder } = await stoppedService(t, { ENCRYPTION_KEY: freshKey() });
    await assertRefused(folder, { ENCRYPTION_KEY: freshKey() }, MISSING);
    await assertRefused(folder, {}, MISSING);
  });

  it("is made anew where there is no secret: by one process, which says so, in a file of mode 600", async (t) => {
    const service = await stoppedService(t, {}, null);
    const keyFile = join(service.folder, "mail.db.key");
    assert.equal(madeBy(allOf(service)).length, 1, "at the very first start");
    assert.match(
      madeBy(allOf(service))[0]!.msg!,
      /made an encryption key, kept in .*mail\.db\.key: .* backup of the database is of no use without it/,
    );
    const [old] = keysIn(keyFile);
    rmSync(keyFile);
    await service.restart();
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
    assert.notEqual(keysIn(keyFile)[0], old);
    const [made, ...others] = madeBy(allOf(service));
    assert.deepEqual(others, []);
    assert.deepEqual([made!.level, made!.file], ["warn", keyFile]);
    await service.restart();
    assert.deepEqual(madeBy(allOf(service)), []);
  });
});

describe("a sealed text that was changed in the file", () => {
  /** With one character otherwise. */
  const change = (service: Service, table: string, column: string, where: string) => {
    const db = new Database(join(service.folder, "mail.db"), { timeout: 5000 });
    const text = db.prepare<[], string>(`SELECT ${column} FROM ${table} WHERE ${where}`).pluck().get()!;
    const at = text.lastIndexOf("v1:") + 20;
    const changed = `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
    db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${where}`).run(changed);
    db.close();
  };
  const rowsOf = (service: Service, table: string) => {
    const db = new Database(join(service.folder, "mail.db"), { readonly: true, timeout: 5000 });
    const count = db.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck().get();
    db.close();
    return count;
  };
  const OWN = "queue = (SELECT key FROM queues WHERE account_id = 'own' AND tenant_id = 'default')";

  it("holds the account whose password it was, and no other", async (t) => {
    const { service, wrong } = await startGuarded(t);
    const { api, smtp } = service;
    change(service, "accounts", "password", OWN);
    await api.addMessages(
      aMessage({ id: "held", account_id: "own" }),
      aMessage({ id: "sent", account_id: "untried" }),
      aMessage({ id: "sent too" }),
    );
    await smtp.received(2);
    const shown = await eventually(async () => {
      const { body } = await api.get("/account/own");
      return body.state === "held" && body;
    });
    assert.match(shown.reason, /^its password in the database cannot be decrypted: it was changed/);
    assert.equal((await api.get("/account/untried")).body.state, "ready");
    assert.equal((await api.get("/messages/held")).body.status, "pending");
    const { code, said } = await rotateKey(service.folder);
    assert.equal(code, 0, said);
    assert.match(said, /\n1 of them were left as they were, since they were changed in the file/);
    assert.deepEqual(wrong, []);
  });

  it("is replaced where the account is posted again, which sends what waited", async (t) => {
    const { service } = await startGuarded(t);
    const { api, smtp } = service;
    change(service, "accounts", "password", OWN);
    await api.addMessages(aMessage({ account_id: "own" }));
    const { host, port } = smtp;
    const account = anAccount({ id: "own", host, port, user: "own", password: PASSWORDS.own });
    assert.equal((await api.post("/account", account)).status, 200);
    await smtp.received(1);
  });

  it("stops nobody's mail and no other login when its own is tried", async (t) => {
    const { service } = await startGuarded(t);
    const { api, smtp } = service;
    change(service, "accounts", "password", OWN);
    const asked = api.post("/account/own/verify");
    await eventually(() => rowsOf(service, "verifications") === 1);
    await api.addMessages(aMessage());
    await smtp.received(1);
    const untried = await api.post("/account/untried/verify");
    assert.equal(untried.body.ok, true, untried.text);
    assert.match((await asked).text, /cannot be decrypted/);
  });

  it("ends the message whose attachment's it was, and no other", async (t) => {
    const { service, attachments, wrong } = await startGuarded(t);
    const { api, smtp } = service;
    await api.post("/account/own/hold", { reason: "until it is changed" });
    await api.addMessages(
      aMessage({ id: "ended", account_id: "own", attachments }),
      aMessage({ id: "sent", account_id: "own", attachments }),
    );
    change(service, "payloads", "payload", "message = (SELECT key FROM messages WHERE id = 'ended')");
    await api.post("/account/own/release");
    await smtp.received(1);
    const { body } = await eventually(async () => {
      const answer = await api.get("/messages/ended");
      return answer.body.status === "error" && answer;
    });
    assert.match(body.error, /the secrets of its attachments cannot be decrypted: it was changed/);
    await eventually(async () => (await api.get("/messages/sent")).body.status === "sent");
    assert.deepEqual(wrong, []);
  });

  it("leaves the tenant whose client's login it was without one, and no other; it is told, and can be set anew", async (t) => {
    const { service, app, wrong } = await startGuarded(t);
    const { api, smtp } = service;
    change(service, "tenants", "client_secret", "id = 'app'");
    const ofApp = aMessage({ id: "of app", account_id: "own" });
    await api.post("/commands/add-messages?tenant_id=app", { messages: [ofApp] });
    await api.addMessages(aMessage({ id: "other" }));
    await smtp.received(2);
    await service.client.reports(1);
    await eventually(() => wrong.includes("login of undefined"), 10_000, "a call without a login");
    assert.equal((await api.get("/tenant/app")).status, 200);
    const token = { method: "bearer", token: CLIENT_TOKEN };
    const calls = app.calls.length;
    const body = JSON.stringify({ client_auth: token });
    const headers = { "content-type": "application/json" };
    assert.equal((await api.send("PUT", "/tenant/app", { body, headers })).status, 200);
    await api.post("/commands/run-now?tenant_id=app");
    const taken = () => app.calls.slice(calls).some((call) => call.headers.authorization === `Bearer ${CLIENT_TOKEN}`);
    await eventually(taken, 10_000, "a call with the login");
  });
});
