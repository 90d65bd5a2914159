import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import {
  anyButLinkLocal,
  createEgress,
  type EgressOptions,
  ForbiddenAddress,
  publicAddressesOnly,
} from "@async-mail/runtime/egress";
import type { Lookup } from "@async-mail/runtime/permitted-lookup";
import { type Dispatcher, request } from "undici";
import { gate } from "../../support/eventually.ts";
import { bytes, longerThanSaid } from "../../support/file-answers.ts";
import { type FileServer, startFileServer } from "../../support/file-server.ts";
import { namesFor } from "../../support/name-server.ts";
import { ROOT } from "../../support/processes.ts";
import { startProgram } from "../../support/programs.ts";
import { ADDRESS_CASES, CLIENT_CASES, judge, judgeClient } from "./address-cases.ts";

describe("the address filter", () => {
  for (const one of ADDRESS_CASES) {
    const at = one.host === undefined ? "" : ` of ${one.host}`;
    it(`${one.allowed ? "allows" : "refuses"} "${one.from}"${at}: ${one.what}`, () => {
      const { allowed, why } = judge(one);
      assert.equal(allowed, one.allowed, why);
    });
  }
});

describe("the filter for tenants' clients", () => {
  for (const one of CLIENT_CASES)
    it(`${one.allowed ? "allows" : "refuses"} "${one.from}": ${one.what}`, () => {
      const { allowed, why } = judgeClient(one);
      assert.equal(allowed, one.allowed, why);
    });
});

/** Stands for a public address; everything else of this machine is as private as it is. */
const PUBLIC = "127.0.0.1";
const PRIVATE = "127.0.0.2";
const outside = await startFileServer({ "/": bytes("public") }, { host: PUBLIC });
const port = Number(new URL(outside.origin).port);
/** The same port, so that one URL may lead to either. */
const inside = await startFileServer({ "/": bytes("secret") }, { host: PRIVATE, port });
const closing: (() => Promise<unknown>)[] = [outside.close, inside.close];
// Time-outs of connections do not keep a process from ending.
const awake = setInterval(() => {}, 1000);
after(async () => {
  clearInterval(awake);
  await Promise.all(closing.map((close) => close()));
});
beforeEach(() => {
  outside.connections.total = 0;
  inside.connections.total = 0;
});

function egress(options: Partial<EgressOptions> = {}): Dispatcher {
  const made = createEgress({
    mayReach: publicAddressesOnly([PUBLIC]),
    connectTimeoutMs: 60_000,
    connectionsPerOrigin: 2,
    ...options,
  });
  closing.push(() => made.destroy());
  return made;
}

async function read(dispatcher: Dispatcher, host: string): Promise<string> {
  const { body } = await request(`http://${host}:${port}/`, { dispatcher });
  return body.text();
}

/** Each look-up takes the next answer. */
function names(...answers: string[][]): Lookup {
  return async () => (answers.shift() ?? []).map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
}

async function isForbidden(asked: Promise<unknown>, server: FileServer = inside): Promise<ForbiddenAddress> {
  const error = await asked.then(
    () => assert.fail("it was reached"),
    (error: unknown) => error,
  );
  for (let one = error; one instanceof Error; one = one.cause)
    if (one instanceof ForbiddenAddress) {
      assert.equal(server.connections.total, 0);
      return one;
    }
  throw error;
}

describe("a connection", () => {
  it("to an allowed address is made, and to others not, however the URL spells them", async () => {
    assert.equal(await read(egress(), PUBLIC), "public");
    for (const host of [
      PRIVATE,
      "2130706434",
      "0x7f.2",
      "0177.0.0.2",
      "[::ffff:127.0.0.2]",
      "[::ffff:7f00:2]",
      "127.2",
    ])
      await isForbidden(read(egress(), host));
  });

  it("to a name is made to its allowed addresses only", async () => {
    assert.equal(await read(egress({ lookup: names([PUBLIC]) }), "files.test"), "public");
    assert.equal(await read(egress({ lookup: names([PRIVATE, PUBLIC]) }), "files.test"), "public");
    assert.equal(await read(egress({ lookup: names([PUBLIC, PRIVATE]) }), "files.test"), "public");
    await isForbidden(read(egress({ lookup: names([PRIVATE]) }), "files.test"));
    await isForbidden(read(egress({ lookup: names(["::ffff:127.0.0.2", "::1"]) }), "files.test"));
    assert.equal(inside.connections.total, 0);
  });

  it("of a tenant's client goes to private addresses, and past link-local ones, as they are when it stands", async () => {
    const client = (...answers: string[][]) => egress({ mayReach: anyButLinkLocal, lookup: names(...answers) });
    assert.equal(await read(client(), PRIVATE), "secret");
    assert.equal(await read(client(["169.254.169.254", PRIVATE]), "client.test"), "secret");
    inside.connections.total = 0;
    for (const host of ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.0.1]", "2852039166"])
      await isForbidden(read(client(), host));
    const rebinding = client([PUBLIC], ["fe80::1"]);
    outside.files["/"] = bytes("public", { connection: "close" });
    assert.equal(await read(rebinding, "client.test"), "public");
    await isForbidden(read(rebinding, "client.test"));
  });

  it("to a name of this machine is not made, with a dot or without", async () => {
    const strict = egress({ mayReach: publicAddressesOnly([]) });
    for (const host of ["localhost", "LOCALHOST", "ｌｏｃａｌｈｏｓｔ"]) await isForbidden(read(strict, host), outside);
    // Not every system knows it with a dot.
    const dotted = egress({ mayReach: publicAddressesOnly([]), lookup: names(["127.0.0.1", "::1"]) });
    await isForbidden(read(dotted, "localhost."), outside);
  });

  it("to a name that leads elsewhere the next time is not made", async () => {
    const rebinding = egress({ lookup: names([PUBLIC], [PRIVATE]), connectionsPerOrigin: 1 });
    outside.files["/"] = bytes("public", { connection: "close" });
    assert.equal(await read(rebinding, "files.test"), "public");
    await isForbidden(read(rebinding, "files.test"));
  });

  it("is looked at once more when it stands", async () => {
    let asked = 0;
    const mayReach = () => (asked++ === 0 ? null : "not any more");
    const error = await isForbidden(read(egress({ mayReach, lookup: names([PUBLIC]) }), "files.test"));
    assert.equal(error.why, "not any more");
    assert.equal(outside.connections.total, 1);
    await outside.idle();
  });

  it("that is forbidden says of its host no more than the name", async () => {
    const error = await isForbidden(read(egress({ lookup: names([PRIVATE]) }), "files.test"));
    assert.equal(error.message, "files.test: its address may not be reached");
    assert.equal(error.host, "files.test");
    assert.equal(error.why, "a loopback address");
  });

  it("uses no proxy of the environment", async () => {
    const code = `
      const { createEgress } = await import(${JSON.stringify(new URL("../../../libs/runtime/src/egress.ts", import.meta.url).href)});
      const { request } = await import("undici");
      const dispatcher = createEgress({ mayReach: () => null, connectTimeoutMs: 60000, connectionsPerOrigin: 1 });
      console.log(await (await request("${outside.url("/")}", { dispatcher })).body.text());
      await dispatcher.destroy();`;
    const proxy = { HTTP_PROXY: inside.origin, http_proxy: inside.origin, NODE_USE_ENV_PROXY: "1" };
    const program = startProgram(["--input-type=module", "-e", code], { cwd: ROOT, env: proxy });
    await program.exited();
    assert.equal(program.stdout(), "public\n", program.stderr());
    assert.equal(inside.connections.total, 0);
  });

  it("gives no more than was announced, and nothing of it to another request (RFC 9112 §6.3)", async () => {
    outside.files["/long"] = longerThanSaid("0123456789", 5);
    const dispatcher = egress({ connectionsPerOrigin: 1 });
    const { body } = await request(outside.url("/long"), { dispatcher });
    assert.equal(await body.text(), "01234");
    assert.equal(await read(dispatcher, PUBLIC), "public");
  });
});

describe("look-ups", () => {
  it("of one host at the same time are one, and no host waits for another", async () => {
    const hosts: string[] = [];
    const held = gate();
    const all = gate();
    const lookup: Lookup = async (host) => {
      hosts.push(host);
      if (hosts.length === 4) all.open();
      if (host !== "quick.test") await held.opened;
      return [{ address: PUBLIC, family: 4 }];
    };
    const dispatcher = egress({ lookup });
    const answers = ["a.test", "b.test", "c.test", "a.test"].map((host) => read(dispatcher, host));
    assert.equal(await read(dispatcher, "quick.test"), "public");
    await all.opened;
    held.open();
    assert.deepEqual(await Promise.all(answers), Array(4).fill("public"));
    assert.deepEqual(hosts.toSorted(), ["a.test", "b.test", "c.test", "quick.test"]);
  });

  it("of whole processes can be scripted", async () => {
    const code = `
      const dns = await import("node:dns");
      const look = (host, options) => new Promise((done) => dns.lookup(host, options, (error, ...got) => done(error?.code ?? got)));
      const { systemLookup } = await import(${JSON.stringify(new URL("../../../libs/runtime/src/system-lookup.ts", import.meta.url).href)});
      const system = systemLookup({ patienceMs: 60000 });
      const both = (host) => system(host).then((all) => all.map(({ address }) => address), (error) => error.code);
      console.log(JSON.stringify([await look("turns.test", {}), await look("TURNS.test.", { all: true }), await look("gone.test", {}), await look("none.test", {}), await look("127.0.0.1", {}),
        await both("turns.test"), await both("turns.test"), await both("gone.test"), await both("none.test")]));`;
    const env = namesFor({
      "turns.test": { answers: [["127.0.0.1"], ["127.0.0.2", "::1"]], afterMs: 5 },
      "gone.test": { error: "EAI_AGAIN" },
    });
    const program = startProgram(["--input-type=module", "-e", code], { cwd: ROOT, env });
    await program.exited();
    assert.deepEqual(JSON.parse(program.stdout() || program.stderr()), [
      ["127.0.0.1", 4],
      [
        [
          { address: "127.0.0.2", family: 4 },
          { address: "::1", family: 6 },
        ],
      ],
      "EAI_AGAIN",
      "ENOTFOUND",
      ["127.0.0.1", 4],
      ["127.0.0.1"],
      ["127.0.0.2", "::1"],
      "EAI_AGAIN",
      "ENOTFOUND",
    ]);
  });
});
