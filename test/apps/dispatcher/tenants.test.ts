import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { tenantEgress } from "@async-mail/dispatcher/tenant-egress";
import type { Account } from "@async-mail/domain/account";
import type { Message } from "@async-mail/domain/message";
import { eventually, gate } from "../../support/eventually.ts";
import { aCheckedAccount, aCheckedMessage } from "../../support/messages.ts";
import { type SmtpServer, type SmtpServerOptions, startSmtpServer, TEST_CA } from "../../support/smtp-server.ts";
import { type Bench, startBench } from "./dispatch-bench.ts";

const closing: (() => Promise<void>)[] = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});

type Tenants = Omit<Bench, "account"> & {
  smtp: SmtpServer;
  account(tenant: string, account: Partial<Account>): Promise<void>;
  post(tenant: string, message?: Partial<Message>): Promise<string>;
  status(tenant: string, id: string): Promise<string | undefined>;
};

/** A dispatcher with the tenants `a` and `b`, before a real server. */
async function start(options: SmtpServerOptions = {}, allowHosts: string[] = []): Promise<Tenants> {
  const smtp = await startSmtpServer(options);
  const bench = await startBench({ allowHosts });
  closing.push(smtp.close, bench.close);
  const { store, clock } = bench;
  for (const id of ["a", "b"]) await store.tenants.put(id, {}, `key of ${id}`, clock.now());
  return {
    ...bench,
    smtp,
    async account(tenant, account) {
      const checked = aCheckedAccount({ id: "relay", port: smtp.port, timeoutSeconds: 2, ...account });
      await store.of(tenant).accounts.put(checked, { keepPassword: false }, clock.now());
    },
    async post(tenant, message) {
      const checked = aCheckedMessage({ accountId: "relay", ...message });
      const answers = await store.of(tenant).messages.enqueue([checked], clock.now());
      assert.deepEqual(answers, ["queued"]);
      return checked.id;
    },
    status: async (tenant, id) => (await store.of(tenant).messages.get(id, clock.now()))?.status,
  };
}

describe("two tenants at one server", () => {
  it("have connections of their own: a wrong password sends nothing over the other's login", async () => {
    const wrong = { code: 535, text: "5.7.8 no" };
    const script = { onAuth: ({ password }: { password: string }) => (password === "right" ? undefined : wrong) };
    const { account, post, dispatch, status, smtp, store, clock, relay } = await start({ auth: "required", script });
    await account("a", { user: "shared", password: "right" });
    await account("b", { user: "shared", password: "wrong" });
    const first = await post("a");
    await dispatch();
    assert.equal(await status("a", first), "sent");
    assert.ok(relay.needed(1, 1, true) > 0, "A's connection is open");
    const guess = await post("b");
    const second = await post("a");
    await dispatch();
    assert.equal(await status("a", second), "sent");
    assert.notEqual(await status("b", guess), "sent");
    assert.equal(smtp.messages.length, 2);
    assert.equal((await store.of("b").accounts.get("relay", clock.now()))?.state, "held");
    assert.equal((await store.of("a").accounts.get("relay", clock.now()))?.state, "ready");
  });

  it("are one suspended and the other not, also of what waits for a connection already", async () => {
    const { opened, open } = gate();
    let reached = 0;
    const onData = () => {
      reached += 1;
      return opened as Promise<undefined>;
    };
    const { account, post, pass, clock, flight, store, status } = await start({ script: { onData } });
    for (const tenant of ["a", "b"]) await account(tenant, { maxConnections: 1 });
    const ids: Record<string, string[]> = { a: [], b: [] };
    for (const tenant of ["a", "b"]) for (let i = 0; i < 2; i += 1) ids[tenant]!.push(await post(tenant));
    await pass();
    await eventually(() => reached === 2, 5000, "the first of each is being sent");
    await store.of("a").service.suspend(null, "tenant", clock.now());
    await clock.advance(200);
    await pass();
    open();
    await flight.landed(new AbortController().signal);
    await pass();
    await flight.landed(new AbortController().signal);
    assert.deepEqual(await Promise.all(ids.a!.map((id) => status("a", id))), ["sent", "pending"]);
    assert.deepEqual(await Promise.all(ids.b!.map((id) => status("b", id))), ["sent", "sent"]);
  });

  it("whose batch is suspended keep the rest of its account going", async () => {
    const { opened, open } = gate();
    let reached = 0;
    const onData = () => {
      reached += 1;
      return opened as Promise<undefined>;
    };
    const { account, post, pass, clock, flight, store, status } = await start({ script: { onData } });
    await account("a", { maxConnections: 1 });
    const first = await post("a");
    const held = await post("a", { batchCode: "b" });
    const other = await post("a");
    await pass();
    await eventually(() => reached === 1, 5000, "the first is being sent");
    await store.of("a").service.suspend("b", "tenant", clock.now());
    await clock.advance(200);
    await pass();
    open();
    for (let i = 0; i < 3; i += 1) {
      await flight.landed(new AbortController().signal);
      await pass();
    }
    await flight.landed(new AbortController().signal);
    assert.deepEqual(await Promise.all([first, held, other].map((id) => status("a", id))), ["sent", "pending", "sent"]);
  });
});

describe("what waits for its files", () => {
  it("is not sent when its tenant was suspended, or its account held, meanwhile", async () => {
    const { opened, open } = gate();
    let asked = 0;
    const files = createServer(async (_, response) => {
      asked += 1;
      await opened;
      response.end("a file");
    });
    await new Promise<void>((resolve) => files.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(files.address() as AddressInfo).port}/a.pdf`;
    const { account, post, pass, clock, flight, store, status, smtp } = await start({}, ["127.0.0.1"]);
    closing.push(async () => void files.close());
    for (const tenant of ["a", "b"]) await account(tenant, {});
    const payload = { from: "a@x.y", to: "b@x.y", subject: "s", attachments: [{ url }] };
    const ids = [
      await post("a", { payload: { id: "1", ...payload } }),
      await post("b", { payload: { id: "2", ...payload } }),
    ];
    await pass();
    await eventually(() => asked === 2, 5000, "both files are asked for");
    await store.of("a").service.suspend(null, "tenant", clock.now());
    await store.of("b").accounts.hold("relay", "wait", null, clock.now());
    await clock.advance(200);
    await pass();
    open();
    await flight.landed(new AbortController().signal);
    assert.equal(smtp.messages.length, 0);
    assert.deepEqual([await status("a", ids[0]!), await status("b", ids[1]!)], ["pending", "pending"]);
  });
});

describe("a tenant's account", () => {
  const egress = (given: Partial<Parameters<typeof tenantEgress>[0]> = {}) =>
    tenantEgress({ tenantHosts: [], ownPorts: [8000], patienceMs: 2000, ...given });

  it("connects where the operator lets tenants, by the address itself", async () => {
    assert.equal(await egress()({ host: "127.0.0.1", port: 25 }), "127.0.0.1");
    assert.equal(await egress()({ host: "localhost", port: 25 }), "127.0.0.1");
    assert.equal(await egress({ tenantHosts: ["127.0.0.0/8"] })({ host: "localhost", port: 25 }), "127.0.0.1");
    assert.equal(await egress({ tenantHosts: ["localhost"] })({ host: "localhost", port: 25 }), "127.0.0.1");
  });

  it("reaches no link-local or metadata address, no port of ours, and none that is not in the list", async () => {
    const cases: [ReturnType<typeof egress>, host: string, port: number, why: RegExp][] = [
      [egress(), "169.254.169.254", 25, /tenants may not send there \(a cloud's metadata address\)/],
      [egress(), "169.254.1.1", 25, /a link-local address/],
      [egress(), "fe80::1", 25, /a link-local address/],
      [egress(), "localhost", 8000, /a port of this service/],
      [egress(), "::ffff:127.0.0.1", 8000, /a port of this service/],
      [egress(), "::ffff:7f00:1", 8000, /a port of this service/],
      [egress(), "0:0:0:0:0:0:0:1", 8000, /a port of this service/],
      [egress({ tenantHosts: ["10.0.0.0/8"] }), "localhost", 25, /not in smtp.tenant_hosts/],
    ];
    for (const [to, host, port, why] of cases) await assert.rejects(to({ host, port }), why, `${host}:${port}`);
    await assert.rejects(egress()({ host: "no-such-host.invalid", port: 25 }), /has no address/);
  });

  it("that may not be reached is held with the reason; the tenant default is the operator's own", async () => {
    const { account, post, dispatch, store, clock, status } = await start();
    await account("a", { host: "169.254.169.254" });
    await post("a");
    await dispatch();
    const held = await store.of("a").accounts.get("relay", clock.now());
    assert.equal(held?.state, "held");
    assert.match(held?.reason ?? "", /tenants may not send there/);
    await account("default", {});
    const id = await post("default");
    await dispatch();
    assert.equal(await status("default", id), "sent");
  });

  it("verifies the certificate by its host's name, though it connects to an address", async () => {
    const { account, post, dispatch, store, clock, status } = await start({ tls: "implicit" });
    const trusted = { security: "tls", tlsCa: TEST_CA } as const;
    await account("a", { ...trusted, host: "localhost" });
    await account("b", { ...trusted, host: "mail.localhost" });
    const id = await post("a");
    await post("b");
    await dispatch();
    assert.equal(await status("a", id), "sent");
    // The certificate is good for localhost and for 127.0.0.1, which both names lead to.
    assert.match((await store.of("b").accounts.get("relay", clock.now()))?.reason ?? "", /another name/);
  });
});
