import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { apiClient } from "../../support/api-client.ts";
import { eventually } from "../../support/eventually.ts";
import { startProcess } from "../../support/processes.ts";
import { makePythonServiceFile, PYTHON_SERVICE } from "../../support/python-service-file.ts";
import { startSmtpServer } from "../../support/smtp-server.ts";
import { startSyncClient } from "../../support/sync-client.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mailctl } from "./running-mailctl.ts";

const { unsent, later, limited, byDefault, byRenamed, reported, unreportedSent, unreportedErrors, unsendable } =
  PYTHON_SERVICE;

test("a file of the Python service is taken over: what was unsent goes out once, and all that is owed is reported", async () => {
  const folder = temporaryFolder();
  const smtp = await startSmtpServer();
  const client = await startSyncClient();
  const old = join(folder, "python.db");
  makePythonServiceFile(old, smtp);
  const before = digest(old);
  const env = {
    DB_PATH: join(folder, "mail.db"),
    SMTP_HOST: smtp.host,
    SMTP_PORT: String(smtp.port),
    SMTP_SECURITY: "none",
    PROXY_SYNC_URL: client.url,
  };

  const imported = await mailctl(["import", old, "--json"], { cwd: folder, env });
  assert.equal(imported.code, 0, imported.stderr);
  const { accounts, rules, sends, messages, unreported, byDefaultAccount, changes } = imported.json;
  const errors = Object.keys(unsendable).length;
  assert.deepEqual({ accounts, rules, sends }, { accounts: 3, rules: 3, sends: 3 });
  assert.deepEqual(messages, {
    waiting: unsent.length + limited.length + byDefault.length + byRenamed.length,
    deferred: later.length,
    sent: 1 + unreportedSent.length,
    errors: errors + unreportedErrors.length + 1,
  });
  assert.equal(unreported, unreportedSent.length + unreportedErrors.length + errors);
  assert.equal(byDefaultAccount, byDefault.length);
  assert.match(changes.join("\n"), /account default: is default-imported now/);
  assert.match(changes.join("\n"), /account broken: not imported, since its host/);
  assert.match(changes.join("\n"), /queued_messages, of an earlier version: 1 taken over, 1 ignored/);
  assert.match(changes.join("\n"), /message bad-address: cannot be sent: invalid to/);

  // The old file is as it was; the new one is whole, alone, and hides what is secret.
  assert.equal(digest(old), before);
  assert.deepEqual(readdirSync(folder).sort(), ["mail.db", "mail.db.key", "python.db"]);
  assert.equal(statSync(env.DB_PATH).mode & 0o777, 0o600);
  assert.equal(readFileSync(env.DB_PATH).includes(PYTHON_SERVICE.password), false);
  const again = await mailctl(["import", old], { cwd: folder, env });
  assert.equal(again.code, 1);
  assert.match(again.stderr, /mail\.db is there already/);

  const processes = await Promise.all(
    (["api", "dispatcher", "reporter"] as const).map((kind) => startProcess(kind, { folder, env })),
  );
  const api = apiClient(await processes[0]!.listening());

  // Two of `limited` were sent within the hour, so that one is left of its three.
  const sentNow = [...unsent, ...byDefault, ...byRenamed];
  await smtp.received(sentNow.length + 1, 20_000);
  const reports = await client.reports(unreported + sentNow.length + 1, 20_000);

  const subjects = smtp.messages.map(({ raw }) => /^Subject: Subject of (.*)\r$/m.exec(raw.toString())?.[1] ?? "");
  assert.deepEqual(subjects.filter((id) => !limited.includes(id)).sort(), sentNow.toSorted());
  assert.equal(subjects.filter((id) => limited.includes(id)).length, 1);
  const withAttachment = smtp.messages.find(({ raw }) => raw.includes("Subject of waiting-1"))!;
  assert.ok(withAttachment.raw.includes(Buffer.from(PYTHON_SERVICE.attachment).toString("base64")));
  assert.deepEqual(withAttachment.to.sort(), ["copy@example.org", "recipient@example.org"]);
  assert.ok(
    smtp.logins.some(({ user, password }) => user === PYTHON_SERVICE.user && password === PYTHON_SERVICE.password),
  );
  const account = await eventually(async () => {
    const { body } = await api.get("/account/limited");
    return body.state === "limited" && body;
  });
  assert.equal(account.left.per_hour, 0);
  assert.equal(account.created_at, "2025-03-01T10:00:00.250Z");

  const ofId = (id: string) => reports.filter((one) => one.id === id);
  for (const id of reported) assert.deepEqual(ofId(id), [], id);
  for (const id of unreportedSent) assert.ok(ofId(id).every((one) => one.sent_ts !== null) && ofId(id).length > 0, id);
  for (const id of unreportedErrors) assert.equal(ofId(id)[0]?.error, "550 no such user");
  for (const [id, why] of Object.entries(unsendable)) assert.match(ofId(id)[0]?.error ?? "", why, id);

  const listed = await api.get("/commands/rules");
  assert.deepEqual(
    listed.body.rules.map(({ name }: { name: string }) => name),
    PYTHON_SERVICE.rules,
  );
  assert.deepEqual(
    listed.body.rules.map(({ id, enabled, days }: { id: number; enabled: boolean; days: number[] }) => [
      id,
      enabled,
      days.length,
    ]),
    [
      [7, true, 5],
      [4, true, 2],
      [2, false, 7],
    ],
  );
  const deferred = await api.get("/messages/later");
  assert.equal(deferred.body.status, "deferred");
  const old1 = await api.get("/messages/sent-reported");
  assert.equal(old1.body.created_at, "2025-03-02T11:00:00.000Z");
  await Promise.all(processes.map((proc) => proc.stop()));
  await Promise.all([smtp.close(), client.close()]);
});

test("only a file of the Python service is imported, and never over another", async () => {
  const folder = temporaryFolder();
  const env = { DB_PATH: join(folder, "mail.db") };
  const run = async (file: string) => {
    const { code, stderr } = await mailctl(["import", file], { cwd: folder, env });
    assert.equal(code, 1, stderr);
    return stderr;
  };
  assert.match(await run("nowhere.db"), /nowhere\.db is not there/);
  assert.match(await run(import.meta.filename), /is not a SQLite database/);
  const old = join(folder, "mail.db");
  makePythonServiceFile(old, { host: "127.0.0.1", port: 25 });
  assert.match(await run(old), /storage\.db_path is the old file itself: move that aside/);
  assert.equal(existsSync(`${old}.importing`), false);
});

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
