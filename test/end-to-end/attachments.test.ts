import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { simpleParser } from "mailparser";
import { eventually } from "../support/eventually.ts";
import { bytes, drip, held, inTurn, redirect, status, versioned } from "../support/file-answers.ts";
import { type FileServer, startFileServer } from "../support/file-server.ts";
import { aMessage } from "../support/messages.ts";
import { S3_KEYS, startS3Server } from "../support/s3-server.ts";
import { type Service, startService } from "../support/service.ts";

const opened: { close(): Promise<unknown> }[] = [];
after(() => Promise.all(opened.map((one) => one.close())));

/** The service, allowed to fetch from the file server's address and from no other. */
async function start(options: { config?: string; dispatchers?: number } = {}) {
  const files = await startFileServer({}, { host: "127.0.0.2" });
  const s3 = await startS3Server();
  const env = {
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
  };
  const config = `[attachments]\nallow_hosts = 127.0.0.2\n${options.config ?? ""}`;
  const service = await startService({ ...options, env, config });
  opened.push(files, s3, { close: service.stop });
  return { ...service, service, files, s3 };
}

async function filesOf(mail: Service["smtp"]["messages"][number]): Promise<[string | undefined, string][]> {
  const { attachments } = await simpleParser(mail.raw);
  return attachments.map((one) => [one.filename, one.content.toString()]);
}

type Shown = { status: string; error?: string; deferred_reason?: string; deferred_ts?: number };

async function ended(service: Service, id: string): Promise<Shown> {
  return await eventually(async () => {
    const message = (await service.api.get(`/messages/${id}`)).body;
    return message.status === "sent" || message.status === "error" ? message : null;
  });
}

async function deferred(service: Service, id: string): Promise<Shown> {
  return await eventually(async () => {
    const message = (await service.api.get(`/messages/${id}`)).body;
    return message.deferred_reason ? message : null;
  });
}

function withUrl(files: FileServer, path: string, more: object = {}) {
  return aMessage({ attachments: [{ url: files.url(path) }], ...more });
}

describe("attachments that are elsewhere", () => {
  it("come from a URL, from S3 and with the message, all in one", async () => {
    const { service, files, s3, api, smtp } = await start();
    files.files["/docs/r%C3%A9sum%C3%A9.txt"] = bytes("from a URL");
    await s3.put("docs", "2026/été.txt", Buffer.from("from S3"));
    await api.addMessages(
      aMessage({
        id: "all",
        attachments: [
          { url: files.url("/docs/r%C3%A9sum%C3%A9.txt?token=secret") },
          { s3: { bucket: "docs", key: "2026/été.txt" } },
          { filename: "own.txt", content: Buffer.from("with it").toString("base64") },
        ],
      }),
    );
    const record = await ended(service, "all");
    assert.equal(record.status, "sent", record.error ?? "");
    assert.deepEqual(await filesOf(smtp.messages[0]!), [
      ["résumé.txt", "from a URL"],
      ["été.txt", "from S3"],
      ["own.txt", "with it"],
    ]);
  });

  it("are fetched once for all messages that want the same, by each dispatcher", async () => {
    const { files, api, smtp, client } = await start({ dispatchers: 2 });
    files.files["/same"] = bytes("the same");
    await api.addMessages(...Array.from({ length: 60 }, () => withUrl(files, "/same")));
    await client.reports(60);
    assert.equal(smtp.messages.length, 60);
    for (const mail of smtp.messages) assert.deepEqual(await filesOf(mail), [["same", "the same"]]);
    assert.ok(files.count("/same") <= 2, `${files.count("/same")} times`);
  });

  it("are asked for again by messages accepted later: kept when unchanged, fetched when they changed", async () => {
    const { service, files, api, smtp } = await start();
    files.files["/versioned"] = versioned("one", { etag: '"1"' });
    await api.addMessages(withUrl(files, "/versioned", { id: "first" }));
    await ended(service, "first");
    await api.addMessages(withUrl(files, "/versioned", { id: "second" }));
    await ended(service, "second");
    files.files["/versioned"] = versioned("two", { etag: '"2"' });
    await api.addMessages(withUrl(files, "/versioned", { id: "third" }));
    await ended(service, "third");
    assert.deepEqual(
      files.requests.map(({ headers }) => headers["if-none-match"]),
      [undefined, '"1"', '"1"'],
    );
    const texts = await Promise.all(smtp.messages.map(async (mail) => (await filesOf(mail))[0]?.[1]));
    assert.deepEqual(texts, ["one", "one", "two"]);
  });

  it("are not fetched again by a retry that has them: one file fails for a while, the mail goes out once, complete", async () => {
    const { service, files, s3, api, smtp, client } = await start({
      config: "[delivery]\nretry_delays_seconds = 0.5\n",
    });
    files.files["/ready.txt"] = bytes("ready"); // without any validator
    await s3.put("docs", "late.txt", Buffer.from("late"));
    s3.faults.push(slowDown, slowDown, slowDown, slowDown, slowDown, slowDown);
    await api.addMessages(
      withUrl(files, "/ready.txt", {
        id: "both",
        attachments: [{ url: files.url("/ready.txt") }, { s3: { bucket: "docs", key: "late.txt" } }],
      }),
    );
    const { deferred_reason } = await deferred(service, "both");
    assert.match(deferred_reason ?? "", /^attachment: Attachment fetch failed: late\.txt: /);
    const record = await ended(service, "both");
    assert.equal(record.status, "sent", record.error ?? "");
    await client.reports(2); // the deferral, and the end
    assert.equal(smtp.messages.length, 1);
    assert.deepEqual(await filesOf(smtp.messages[0]!), [
      ["ready.txt", "ready"],
      ["late.txt", "late"],
    ]);
    assert.equal(files.count("/ready.txt"), 1);
  });

  it("may be removed from the cache at any time", async () => {
    const { service, folder, files, api, smtp } = await start();
    files.files["/file"] = versioned("text", { etag: '"1"' });
    for (const id of ["first", "second"]) {
      await api.addMessages(withUrl(files, "/file", { id }));
      assert.equal((await ended(service, id)).status, "sent");
      const kept = readdirSync(folder).find((name) => name.endsWith(".attachments"));
      rmSync(join(folder, kept ?? "none"), { recursive: true });
    }
    assert.equal(smtp.messages.length, 2);
    assert.equal(files.count("/file"), 2);
  });
});

describe("an attachment that cannot be had", () => {
  it("for good is an error at once, which names the attachment and why, and no secret of its URL", async () => {
    const { service, files, api, smtp, processes } = await start();
    files.files["/gone.pdf"] = status(410);
    files.files["/inside"] = redirect("http://127.0.0.3:1/secret-host");
    const cases: [string, string, RegExp][] = [
      ["missing", files.url("/no.pdf?key=hush"), /^Attachment fetch failed: no\.pdf: .*404/],
      ["gone", files.url("/gone.pdf"), /^Attachment fetch failed: gone\.pdf: .*410/],
      ["inside", files.url("/inside?key=hush"), /^Attachment fetch failed: inside: .*not public/],
      ["private", "http://hush:hush@127.0.0.3/a.txt?hush#hush", /^Attachment fetch failed: a\.txt: .*not public/],
      ["metadata", "http://169.254.169.254/latest/meta-data/", /^Attachment fetch failed: attachment: .*not public/],
    ];
    await api.addMessages(...cases.map(([id, url]) => aMessage({ id, attachments: [{ url }] })));
    for (const [id, , error] of cases) {
      const record = await ended(service, id);
      assert.equal(record.status, "error");
      assert.match(record.error ?? "", error);
      assert.doesNotMatch(JSON.stringify(record), /hush|secret-host|127\.0\.0\.3:1/);
    }
    assert.equal(smtp.messages.length, 0);
    for (const { stdout } of [...processes.dispatchers, processes.api, processes.reporter])
      assert.doesNotMatch(stdout(), /hush/);
  });

  it("for now is tried again, not before the time its server named", async () => {
    const { service, files, api } = await start({ config: "[delivery]\nretry_delays_seconds = 0.5\n" });
    files.files["/busy"] = status(503, { "retry-after": "3600" });
    files.files["/back"] = inTurn(status(500), bytes("now it is"));
    await api.addMessages(withUrl(files, "/busy", { id: "busy" }), withUrl(files, "/back", { id: "back" }));
    const busy = await deferred(service, "busy");
    const inSeconds = Number(busy.deferred_ts) - Date.now() / 1000;
    assert.ok(inSeconds > 3500, `in ${inSeconds} s`);
    assert.equal((await ended(service, "back")).status, "sent");
  });

  it("is given up after its time, however slowly its server goes on", async () => {
    const { service, files, api } = await start({ config: "timeout_seconds = 2\n" });
    files.files["/drip"] = drip(Buffer.alloc(1000), 200);
    await api.addMessages(withUrl(files, "/drip", { id: "drip" }));
    const { deferred_reason } = await deferred(service, "drip");
    assert.equal(deferred_reason, "attachment: Attachment fetch failed: drip: not done within 2 s");
  });
});

describe("messages that wait for their attachments", () => {
  it("do not hold up the other mail of their account, however many they are", async () => {
    const { files, api, smtp } = await start();
    const never = Promise.withResolvers<void>();
    files.files["/slow"] = held(never.promise, bytes(""));
    const account = { id: "narrow", host: smtp.host, port: smtp.port, security: "none", max_connections: 1 };
    assert.equal((await api.post("/account", account)).status, 200);
    const slow = Array.from({ length: 30 }, (_, n) =>
      aMessage({ account_id: "narrow", attachments: [{ url: files.url(`/slow?${n}`) }] }),
    );
    await api.addMessages(...slow);
    await eventually(() => files.count("/slow") >= 8); // as many as one host is asked at a time
    await api.addMessages(aMessage({ id: "plain", account_id: "narrow" }));
    await smtp.received(1);
    assert.equal(smtp.messages.length, 1);
    never.resolve();
  });
});

describe("a dispatcher that fetches", () => {
  it("is stopped at once, and gives its message back for another", async () => {
    const { service, files, api, smtp, processes } = await start();
    const release = Promise.withResolvers<void>();
    files.files["/held"] = held(release.promise, bytes("at last"));
    await api.addMessages(withUrl(files, "/held", { id: "held" }));
    await eventually(() => files.count("/held") === 1);
    const begun = Date.now();
    assert.equal((await processes.dispatchers[0]!.stop()).code, 0);
    assert.ok(Date.now() - begun < 20_000, "it waited for the file");
    release.resolve();
    await service.addDispatcher();
    const record = await ended(service, "held");
    assert.equal(record.status, "sent");
    assert.equal(smtp.messages.length, 1);
  });
});

function slowDown(_: unknown, response: import("node:http").ServerResponse): void {
  response.writeHead(503).end("<Error><Code>SlowDown</Code></Error>");
}
