import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Claim, ListPosition, MessageFilter } from "@async-mail/db/store";
import type { Message } from "@async-mail/domain/message";
import type { Outcome } from "@async-mail/domain/outcome";
import Database from "better-sqlite3";
import { type TemporaryStore, temporaryStore } from "../../support/database.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";

const SENT: Outcome = { kind: "sent", code: 250, response: "ok", recipients: [], mailFromSent: true };
const FAILED: Outcome = {
  kind: "error",
  error: "550 no",
  code: 550,
  response: "no",
  recipients: [],
  mailFromSent: true,
};

let file: TemporaryStore;
let dispatcher: number;

beforeEach(async () => {
  file = await temporaryStore();
  await file.store.accounts.put(
    aCheckedAccount({ id: "a", maxConnections: 50 }),
    { keepPassword: false },
    file.clock.now(),
  );
  dispatcher = await file.store.processes.register(
    { kind: "dispatcher", pid: 1, host: "h", version: "1" },
    file.clock.now(),
  );
});
afterEach(() => file.close());

const enqueue = (...messages: Partial<Message>[]) =>
  file.store.messages.enqueue(
    messages.map((one) => aCheckedMessage({ accountId: "a", ...one })),
    file.clock.now(),
  );
const get = (id: string) => file.store.messages.get(id, file.clock.now());

async function claim(): Promise<Claim[]> {
  const request = {
    process: dispatcher,
    slots: 50,
    capacity: 200,
    bytes: 1e9,
    held: new Map(),
    maxConnectionsPerAccount: 5,
  };
  const answer = await file.store.queue.claimDue(request, file.clock.now());
  return answer.kind === "claimed" ? answer.claims : [];
}

async function finish(outcome: Outcome) {
  const claims = await claim();
  for (const one of claims) await file.store.queue.settle(one, outcome, file.clock.now());
  return claims;
}

async function pending() {
  return (await file.store.service.status()).pendingMessages;
}

describe("enqueue", () => {
  it("judges each message on its own, also the second of two in one call", async () => {
    assert.deepEqual(
      await enqueue(
        { id: "x" },
        { id: "x" },
        { id: "y", accountId: "nowhere" },
        { id: "z", accountId: null },
        { id: "w" },
      ),
      ["queued", "duplicate id", "account not found", "missing account configuration", "queued"],
    );
    assert.equal(await pending(), 2);
  });

  it("stores more than one transaction holds, in order", async () => {
    const messages = Array.from({ length: 1000 }, (_, i) => ({ id: `m${i}` }));
    assert.deepEqual(new Set(await enqueue(...messages)), new Set(["queued"]));
    const { records } = await file.store.messages.list({}, null, 1000, file.clock.now());
    assert.deepEqual(
      records.map((record) => record.id),
      messages.map((message) => message.id),
    );
  });

  it("keeps inline content apart, byte for byte", async () => {
    const contents = [Buffer.from([0, 1, 2, 255]), Buffer.alloc(100_000, 7)];
    await enqueue({ id: "x", contents });
    const [one] = await claim();
    const read = await file.store.queue.contents(one!.messageKey);
    assert.deepEqual(
      read.map((bytes) => Buffer.from(bytes)),
      contents,
    );
  });

  it("accepts an id that ended in error again: afresh, with its history, claim and Message-ID", async () => {
    await enqueue({ id: "x", contents: [Buffer.from("old")] });
    const [first] = await finish(FAILED);
    assert.equal((await get("x"))?.status, "error");
    assert.equal((await file.store.reports.due(10, file.clock.now())).length, 1);

    assert.deepEqual(await enqueue({ id: "x", messageId: "<other@example.com>", contents: [Buffer.from("new")] }), [
      "queued",
    ]);
    const record = (await get("x"))!;
    assert.deepEqual(
      [record.status, record.error, record.attempts, record.messageId],
      ["pending", null, 0, first!.messageId],
    );
    assert.equal((await file.store.reports.due(10, file.clock.now())).length, 0, "the failure is no news any more");
    const [second] = await claim();
    assert.equal(second!.messageKey, first!.messageKey);
    assert.equal(second!.claim, first!.claim + 1);
    assert.equal(Buffer.from((await file.store.queue.contents(second!.messageKey))[0]!).toString(), "new");
    await file.store.queue.settle(second!, SENT, file.clock.now());
    assert.deepEqual(
      (await get("x"))?.history.map((entry) => entry.outcome),
      ["error", "sent"],
    );
    assert.equal(await pending(), 0);
  });

  it("refuses an id that was sent or is being sent", async () => {
    await enqueue({ id: "x" });
    const [one] = await claim();
    assert.deepEqual(await enqueue({ id: "x" }), ["duplicate id"]);
    await file.store.queue.settle(one!, SENT, file.clock.now());
    assert.deepEqual(await enqueue({ id: "x" }), ["duplicate id"]);
  });
});

describe("remove", () => {
  it("takes what waits or has ended, and names what is being sent", async () => {
    await enqueue({ id: "flying" });
    const [flying] = await claim();
    await enqueue({ id: "waiting", contents: [Buffer.from("x")] });
    assert.deepEqual(await file.store.messages.remove(["flying", "waiting", "never"], file.clock.now()), {
      removed: 1,
      notFound: ["never"],
      inFlight: ["flying"],
    });
    assert.equal(await get("waiting"), null);
    assert.equal(await pending(), 1);
    await file.store.queue.settle(flying!, SENT, file.clock.now());
    assert.deepEqual((await file.store.messages.remove(["flying"], file.clock.now())).removed, 1);
    assert.equal((await file.store.service.counts(file.clock.now())).reportsWaiting, 0);
  });

  it("never lets a number be given again", async () => {
    await enqueue({ id: "x" });
    const before = await file.store.reports.newestKey();
    await file.store.messages.remove(["x"], file.clock.now());
    await enqueue({ id: "x" });
    assert.ok((await file.store.reports.newestKey()) > before);
  });
});

describe("retry", () => {
  it("puts failed messages back, and names the others", async () => {
    await enqueue({ id: "failed" });
    await finish(FAILED);
    await enqueue({ id: "waiting" });
    assert.deepEqual(await file.store.messages.retry(["failed", "waiting", "never"], file.clock.now()), {
      retried: 1,
      notFound: ["never"],
      notFailed: ["waiting"],
    });
    assert.equal((await claim()).length, 2);
  });
});

describe("a deleted account", () => {
  it("lets no failed message of its own wait for ever", async () => {
    await enqueue({ id: "failed" });
    await finish(FAILED);
    await file.store.accounts.remove("a", file.clock.now());
    assert.deepEqual((await file.store.messages.retry(["failed"], file.clock.now())).notFailed, ["failed"]);
  });

  it("whose messages were not all ended, since that process died, has them ended by housekeeping", async () => {
    await enqueue({ id: "x" }, { id: "y" });
    const db = new Database(file.path);
    db.exec("DELETE FROM accounts"); // as the first of remove's transactions leaves it
    db.close();
    assert.equal(await file.store.housekeeping.expire(1e9, 10, file.clock.now()), 2);
    assert.equal((await get("x"))?.error, "account deleted");
  });
});

describe("list", () => {
  async function ids(filter: MessageFilter, limit: number) {
    const pages: string[][] = [];
    let after: ListPosition | null = null;
    do {
      const page = await file.store.messages.list(filter, after, limit, file.clock.now());
      pages.push(page.records.map((record) => record.id));
      after = page.next;
    } while (after);
    return pages.flat();
  }

  beforeEach(async () => {
    await enqueue({ id: "sent" });
    await finish(SENT);
    await enqueue({ id: "failed" });
    await finish(FAILED);
    await file.store.accounts.put(aCheckedAccount({ id: "b" }), { keepPassword: false }, file.clock.now());
    await enqueue({ id: "low", priority: 3 }, { id: "first", priority: 0 }, { id: "other", accountId: "b" });
    await enqueue({ id: "later", deferredMs: file.clock.now().wallMs + 60_000 });
  });

  it("goes by priority, then age, in pages that neither repeat nor skip", async () => {
    const all = ["first", "sent", "failed", "other", "later", "low"];
    for (const limit of [1, 2, 3, 10]) assert.deepEqual(await ids({}, limit), all);
  });

  it("filters by status, activity and account", async () => {
    assert.deepEqual(await ids({ status: "pending" }, 2), ["first", "other", "low"]);
    assert.deepEqual(await ids({ status: "deferred" }, 2), ["later"]);
    assert.deepEqual(await ids({ status: "sent" }, 2), ["sent"]);
    assert.deepEqual(await ids({ status: "error" }, 2), ["failed"]);
    assert.deepEqual(await ids({ activeOnly: true }, 2), ["first", "other", "later", "low"]);
    assert.deepEqual(await ids({ accountId: "b" }, 2), ["other"]);
  });

  it("says why each waits", async () => {
    const later = await get("later");
    assert.deepEqual(
      [later?.status, later?.waiting],
      ["deferred", { reason: "scheduled", untilMs: file.clock.now().wallMs + 60_000 }],
    );
    assert.deepEqual((await get("low"))?.waiting, { reason: "its turn", untilMs: null });
    assert.equal((await get("sent"))?.waiting, null);
    await file.store.accounts.hold("a", "maintenance", null, file.clock.now());
    assert.deepEqual((await get("low"))?.waiting, { reason: "account held: maintenance", untilMs: null });
  });
});

describe("purge and cleanup", () => {
  const everything = { reportedBeforeMs: Number.MAX_SAFE_INTEGER, endedBeforeMs: Number.MAX_SAFE_INTEGER };

  it("never take what is not final, nor by default what is not reported", async () => {
    await enqueue({ id: "waiting", deferredMs: file.clock.now().wallMs + 60_000 }, { id: "sent" });
    await finish(SENT);
    await enqueue({ id: "flying" });
    await claim();
    assert.equal(await file.store.messages.purge({ ...everything, endedBeforeMs: null }), 0);
    assert.equal(await file.store.messages.purge({ ...everything, endedBeforeMs: null }, 10), 0);
    assert.equal(await file.store.messages.purge(everything), 1);
    assert.equal(await get("sent"), null);
    assert.ok((await get("waiting")) && (await get("flying")));
  });

  it("take what was reported long enough ago", async () => {
    await enqueue({ id: "sent" });
    await finish(SENT);
    await file.store.reports.acknowledge(await file.store.reports.due(10, file.clock.now()), file.clock.now());
    const reportedMs = file.clock.now().wallMs;
    assert.equal(await file.store.messages.purge({ reportedBeforeMs: reportedMs, endedBeforeMs: null }, 10), 0);
    assert.equal(await file.store.messages.purge({ reportedBeforeMs: reportedMs + 1, endedBeforeMs: null }, 10), 1);
  });

  it("free the inline content of what was sent, not of what failed", async () => {
    await enqueue({ id: "sent", contents: [Buffer.from("x")] });
    const [sent] = await finish(SENT);
    await enqueue({ id: "failed", contents: [Buffer.from("x")] });
    const [failed] = await finish(FAILED);
    assert.equal(await file.store.housekeeping.trim(100, file.clock.now()), 1);
    assert.equal((await file.store.queue.contents(sent!.messageKey)).length, 0);
    assert.equal((await file.store.queue.contents(failed!.messageKey)).length, 1);
  });
});

describe("expire", () => {
  it("ends what its sender does not want sent any more, though its account is held", async () => {
    await enqueue({ id: "x", expiresMs: file.clock.now().wallMs + 1_000 });
    await file.store.accounts.hold("a", "maintenance", null, file.clock.now());
    assert.equal(await file.store.housekeeping.expire(1e9, 10, file.clock.now()), 0);
    await file.clock.advance(1_000);
    assert.equal(await file.store.housekeeping.expire(1e9, 10, file.clock.now()), 1);
    assert.equal((await get("x"))?.error, "expired");
  });

  it("ends what waited too long behind a fault of its account, but not behind an operator's hold", async () => {
    await enqueue({ id: "x" }, { id: "y" });
    const [one] = await claim();
    await file.store.queue.settle(
      one!,
      { kind: "held", reason: "535 no", mailFromSent: false, throttled: false, end: null },
      file.clock.now(),
    );
    await file.clock.advance(3_600_000);
    assert.equal(await file.store.housekeeping.expire(3_600_000, 10, file.clock.now()), 0);
    await file.clock.advance(1);
    await file.store.housekeeping.expire(3_600_000, 10, file.clock.now());
    assert.equal((await get("x"))?.error, "expired: 535 no");

    await enqueue({ id: "z" });
    await file.store.accounts.hold("a", "maintenance", null, file.clock.now());
    await file.clock.advance(10 * 3_600_000);
    assert.equal(await file.store.housekeeping.expire(3_600_000, 10, file.clock.now()), 0);
  });
});
