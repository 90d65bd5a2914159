import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { eventually, gate } from "../../support/eventually.ts";
import { type Service, startService } from "../../support/service.ts";
import { type Ended, mailctl } from "./running-mailctl.ts";

let service: Service;
let env: Record<string, string>;

before(async () => {
  service = await startService();
  env = { MAILCTL_URL: await service.processes.api.listening(), MAILCTL_TOKEN: "test-token" };
});
after(() => service.stop());

const run = (args: string[], stdin = ""): Promise<Ended> => mailctl(args, { cwd: service.folder, env, stdin });

/** Done, and what it printed as JSON. */
async function done(args: string[], stdin = "") {
  const ended = await run([...args, "--json"], stdin);
  assert.equal(ended.code, 0, `${args.join(" ")}: ${ended.stderr}`);
  assert.equal(ended.json.ok, true);
  return ended.json;
}

async function refused(args: string[], words: RegExp, stdin = ""): Promise<void> {
  const { code, stderr } = await run(args, stdin);
  assert.equal(code, 1, stderr);
  assert.match(stderr, words);
}

const ENVELOPE = ["--from", "Shop <shop@example.com>", "--to", "you@example.org", "--subject", "Your order"];

test("send: a message from options, its text from standard input, with attachments", async () => {
  writeFileSync(join(service.folder, "terms.txt"), "As agreed.");
  const from = service.smtp.messages.length;
  const args = [
    "send",
    ...ENVELOPE,
    "--to",
    "me@example.org",
    "--body",
    "-",
    "--html",
    "<p>Hi</p>",
    "--attach",
    "terms.txt",
  ];
  const { id } = await done([...args, "--id", "order-1", "--priority", "high"], "It is on its way.");
  assert.equal(id, "order-1");
  const mail = (await service.smtp.received(from + 1)).at(-1)!;
  assert.deepEqual(mail.to.sort(), ["me@example.org", "you@example.org"]);
  assert.match(mail.raw.toString(), /It is on its way\./);
  assert.match(mail.raw.toString(), /filename=terms\.txt/);
  await refused(["send", ...ENVELOPE, "--id", "order-1"], /order-1: duplicate id/);
  await refused(
    ["send", "--from", "a@example.com", "--to", "x y", "--subject", ""],
    /invalid to: "x y" is not an address/,
  );
  await refused(["send", ...ENVELOPE, "--attach", "nowhere.txt"], /--attach nowhere\.txt cannot be read \(ENOENT\)/);
});

test("send: an .eml file, with what options say before it", async () => {
  const eml = [
    "From: =?utf-8?q?J=C3=BCrgen_=22J=22?= <j@example.com>",
    "To: Team: a@example.org, B <b@example.org>;",
    "Cc: c@example.org",
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
    "Message-ID: <kept-1@example.com>",
    "Date: Mon, 1 Jan 2024 10:00:00 +0000",
    "In-Reply-To: <before@example.com>",
    "X-Own: mine",
    "Received: from nowhere",
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="b"',
    "",
    "--b",
    "Content-Type: text/plain; charset=utf-8",
    "",
    "Text of it",
    "--b",
    "Content-Type: application/pdf",
    'Content-Disposition: attachment; filename="a.pdf"',
    "Content-Transfer-Encoding: base64",
    "",
    "JVBERi0=",
    "--b--",
    "",
  ].join("\r\n");
  writeFileSync(join(service.folder, "mail.eml"), eml);
  const from = service.smtp.messages.length;
  await done(["send", "mail.eml", "--subject", "Another subject", "--id", "eml-1"]);
  const mail = (await service.smtp.received(from + 1)).at(-1)!;
  assert.deepEqual(mail.to.sort(), ["a@example.org", "b@example.org", "c@example.org"]);
  const raw = mail.raw.toString();
  assert.match(raw, /^Subject: Another subject\r$/m);
  assert.match(raw, /^Message-ID: <kept-1@example\.com>\r$/im);
  assert.match(raw, /^In-Reply-To: <before@example\.com>\r$/im);
  assert.match(raw, /^X-Own: mine\r$/im);
  assert.match(raw, /JVBERi0=/);
  assert.doesNotMatch(raw, /Received: from nowhere/);
  await done(["send", "-", "--id", "eml-2"], eml);
  await refused(["send", "-"], /it is no mail: wanted an \.eml file/, "");
});

test("messages: list, page by page, show, retry and delete", async () => {
  service.smtp.script = {
    onRcpt: (to) => (to.startsWith("nobody") ? { code: 550, text: "5.1.1 no such user" } : undefined),
  };
  await done(["send", ...ENVELOPE, "--to", "nobody@example.org", "--id", "failing", "--batch", "b1", "--defer", "2h"]);
  const waiting = await done(["messages", "show", "failing"]);
  assert.equal(waiting.status, "deferred");
  assert.equal((await done(["messages", "delete", "failing"])).removed, 1);
  await done(["send", "--from", "a@example.com", "--to", "nobody@example.org", "--subject", "x", "--id", "failing"]);
  const failed = await eventually(async () => {
    const one = await done(["messages", "show", "failing"]);
    return one.status === "error" && one;
  });
  assert.match(failed.error, /no such user/);
  const shown = await run(["messages", "show", "failing"]);
  assert.match(shown.stdout, /^status +error$/m);
  assert.match(shown.stdout, /^recipient +outcome +answer$/m);
  assert.match(shown.stdout, /^attempt +outcome +answer +next$/m);

  const page = await done(["messages", "list", "--limit", "1"]);
  assert.equal(page.messages.length, 1);
  const next = await done(["messages", "list", "--limit", "1", "--cursor", page.next_cursor]);
  assert.notEqual(next.messages[0].id, page.messages[0].id);
  const all = await done(["messages", "list", "--all"]);
  assert.ok(all.messages.length > 2);
  const errors = await run(["messages", "list", "--status", "error"]);
  assert.match(errors.stdout, /^id +status +account/);
  assert.match(errors.stdout, /^failing +error +default .*no such user/m);

  service.smtp.script = {};
  assert.equal((await done(["messages", "retry", "failing"])).retried, 1);
  await eventually(async () => (await done(["messages", "show", "failing"])).status === "sent");
  await refused(["messages", "retry", "failing", "unknown"], /not found: unknown; not failed: failing/);
  await refused(["messages", "show", "unknown"], /message not found|not found/i);
  assert.equal((await done(["messages", "delete", "failing"])).removed, 1);
  await refused(["messages", "delete", "failing"], /not found: failing/);
});

test("messages tail: what changes, until Ctrl-C", async () => {
  const stop = new AbortController();
  const begun = gate();
  const following = mailctl(["messages", "tail", "--json", "--interval", "0.1"], {
    cwd: service.folder,
    env,
    signal: stop.signal,
    onTold: begun.open,
  });
  await begun.opened;
  for (let i = 1; i <= 2; i++) await done(["send", ...ENVELOPE, "--id", `followed-${i}`]);
  await eventually(async () => (await done(["messages", "show", "followed-2"])).status === "sent");
  await done(["messages", "delete", "followed-1"]);
  await done(["status"]); // takes longer than the next look
  stop.abort();
  const { code, stdout, stderr } = await following;
  assert.equal(code, 0, stderr);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.ok(
    lines.some(({ id, status }) => id === "followed-2" && status === "sent"),
    stdout,
  );
  assert.ok(
    lines.some(({ id, status }) => id === "followed-1" && status === "deleted"),
    stdout,
  );
});

test("accounts: add with the password from a file, list, show, verify, hold, release, delete", async () => {
  const { host, port } = service.smtp;
  const server = ["--host", host, "--port", String(port), "--security", "none"];
  await done(
    ["accounts", "add", "acc", ...server, "--user", "me", "--password-file", "-", "--limit-per-hour", "9"],
    "S3cret\n",
  );
  assert.equal((await done(["accounts", "verify", "acc"])).ok, true);
  assert.deepEqual(service.smtp.logins.at(-1)?.password, "S3cret");
  const shown = await done(["accounts", "show", "acc"]);
  assert.deepEqual([shown.limit_per_hour, shown.has_password, shown.left.per_hour], [9, true, 9]);
  assert.match((await run(["accounts", "show", "acc"])).stdout, /^left +9 per hour$/m);
  assert.match((await run(["accounts", "list"])).stdout, /^acc +ready +127\.0\.0\.1/m);

  await done(["accounts", "hold", "acc", "--reason", "moving", "--until", "1h"]);
  assert.equal((await done(["accounts", "show", "acc"])).reason, "moving");
  await done(["accounts", "release", "acc"]);
  assert.equal((await done(["accounts", "show", "acc"])).state, "ready");

  await done(["accounts", "add", "-"], JSON.stringify({ id: "json", host, port, security: "none" }));
  await refused(["accounts", "add", "acc", "--host", "other.example"], /password: wanted again, since host changed/);
  await refused(["accounts", "add", "bad", "--host", "not a host"], /host: is not a host name/);
  service.smtp.script = { onAuth: () => ({ code: 535, text: "5.7.8 Wrong password" }) };
  await done(["accounts", "add", "wrong", ...server, "--user", "me", "--password-file", "-"], "no");
  await refused(["accounts", "verify", "wrong"], /account wrong: .*Wrong password/);
  service.smtp.script = {};
  for (const id of ["acc", "json", "wrong"]) await done(["accounts", "delete", id]);
  await refused(["accounts", "show", "acc"], /not found/i);
});

test("status, suspend, activate, run-now", async () => {
  const status = await done(["status"]);
  assert.deepEqual(status.processes.map(({ kind }: { kind: string }) => kind).sort(), [
    "api",
    "dispatcher",
    "reporter",
  ]);
  assert.equal((await done(["suspend"])).active, false);
  assert.match((await run(["status"])).stdout, /^state +suspended/m);
  assert.equal((await done(["activate"])).active, true);
  await done(["run-now"]);
  assert.deepEqual((await done(["suspend", "--tenant", "default", "--batch", "b2"])).suspended_batches, ["b2"]);
  assert.deepEqual((await done(["activate", "--tenant", "default", "--batch", "b2"])).suspended_batches, []);
});

test("rules: add, list, disable, enable, delete", async () => {
  const { rules } = await done([
    "rules",
    "add",
    "night",
    "--days",
    "sat,6",
    "--start-hour",
    "22",
    "--end-hour",
    "6",
    "--cross-midnight",
  ]);
  const { id } = rules[0];
  assert.deepEqual(rules[0].days, [5, 6]);
  assert.equal((await done(["rules", "disable", String(id)])).rules[0].enabled, false);
  assert.equal((await done(["rules", "enable", String(id)])).rules[0].enabled, true);
  assert.match((await run(["rules", "list"])).stdout, /^\d+ +yes +sat,sun +22–6 over midnight +1 min +night$/m);
  await done(["rules", "add", "-"], JSON.stringify({ name: "json", interval_minutes: 7 }));
  await refused(["rules", "delete", "4711"], /rule not found|not found/i);
  for (const rule of (await done(["rules", "list"])).rules) await done(["rules", "delete", String(rule.id)]);
  assert.match((await run(["rules", "list"])).stdout, /^no rules$/m);
});

test("tenants: add, list, show, change, key, sync-status, delete; and what is a tenant's alone", async () => {
  const { api_key } = await done(["tenants", "add", "shop", "--name", "The shop", "--limit-per-hour", "20"]);
  const base = ["--client-base-url", "http://127.0.0.1:9", "--client-auth", "basic", "--client-user", "mail"];
  await done(["tenants", "change", "shop", ...base, "--client-secret-file", "-"], "hidden");
  const shown = await done(["tenants", "show", "shop"]);
  assert.deepEqual([shown.name, shown.client_auth.method, shown.rate_limits.limit_per_hour], ["The shop", "basic", 20]);
  assert.match((await run(["tenants", "show", "shop"])).stdout, /^limits +20 per hour$/m);
  assert.match((await run(["tenants", "list"])).stdout, /^shop +yes +yes +http:\/\/127\.0\.0\.1:9 +The shop$/m);
  assert.match((await run(["tenants", "sync-status"])).stdout, /^shop/m);

  const { host, port } = service.smtp;
  await done([
    "accounts",
    "add",
    "own",
    "--tenant",
    "shop",
    "--host",
    host,
    "--port",
    String(port),
    "--security",
    "none",
  ]);
  const from = service.smtp.messages.length;
  await done(["send", ...ENVELOPE, "--tenant", "shop", "--account", "own", "--id", "of-shop"]);
  await service.smtp.received(from + 1);
  assert.equal((await done(["messages", "show", "of-shop", "--tenant", "shop"])).tenant_id, "shop");
  await refused(["messages", "show", "of-shop"], /not found/i);
  const asTenant = await mailctl(["tenants", "list"], { cwd: service.folder, env: { ...env, MAILCTL_TOKEN: api_key } });
  assert.deepEqual([asTenant.code, /Admin token required/.test(asTenant.stderr)], [1, true]);

  const fresh = await done(["tenants", "key", "shop"]);
  assert.notEqual(fresh.api_key, api_key);
  await done(["tenants", "key", "shop", "--end"]);
  assert.equal((await done(["tenants", "show", "shop"])).has_api_key, false);
  await done(["tenants", "delete", "shop"]);
  await refused(["tenants", "show", "shop"], /Tenant 'shop' not found/);
});
