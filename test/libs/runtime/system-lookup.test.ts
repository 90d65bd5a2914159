import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Lookup } from "@async-mail/runtime/permitted-lookup";
import { type SystemLookupOptions, systemLookup } from "@async-mail/runtime/system-lookup";
import { SERVFAIL, startDnsServer } from "../../support/dns-server.ts";
import { eventually, gate } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const SIX = "2001:db8:0:0:0:0:0:1";
const server = await startDnsServer({
  "both.test": [SIX, "192.0.2.1", "192.0.2.2"],
  "four.test": ["192.0.2.4"],
  "six.test": [SIX],
  "half.test": { four: ["192.0.2.5"], six: "silence" },
  "dead-1.test": "silence",
  "dead-2.test": "silence",
  "dead-3.test": "silence",
  "broken.test": SERVFAIL,
  "nothing.test": [],
  "written.test": ["192.0.2.6"],
});
after(() => server.close());

const noLastResort: Lookup = async (host) => assert.fail(`${host} was looked up by getaddrinfo`);

function lookup(options: Partial<SystemLookupOptions> = {}): Lookup {
  const defaults = { patienceMs: 60_000, hostsPath: "/nowhere", lastResort: noLastResort };
  return systemLookup({ servers: [server.address], ...defaults, ...options });
}

async function addresses(asked: ReturnType<Lookup>): Promise<string[]> {
  const found = await asked;
  for (const { address, family } of found) assert.equal(family, address.includes(":") ? 6 : 4);
  return found.map(({ address }) => address);
}

describe("a name", () => {
  it("has the addresses of both families, or of the one that it has", async () => {
    assert.deepEqual(await addresses(lookup()("both.test")), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    assert.deepEqual(await addresses(lookup()("four.test")), ["192.0.2.4"]);
    assert.deepEqual(await addresses(lookup()("six.test.")), ["2001:db8::1"]);
  });

  it("has what came where nothing comes for the other family", async () => {
    assert.deepEqual(await addresses(lookup({ patienceMs: 4000 })("half.test")), ["192.0.2.5"]);
  });

  it("in the hosts file is asked for nowhere else", async () => {
    const hostsPath = join(temporaryFolder(), "hosts");
    writeFileSync(hostsPath, "192.0.2.7 written.test\n");
    assert.deepEqual(await addresses(lookup({ hostsPath })("written.test")), ["192.0.2.7"]);
    assert.ok(!server.questions.some((question) => question.startsWith("written.test")));
  });

  it("of this machine is asked for nowhere (RFC 6761 §6.3)", async () => {
    for (const host of ["localhost", "a.LOCALHOST."])
      assert.deepEqual(await addresses(lookup({ hostsPath: "/nowhere" })(host)), ["127.0.0.1", "::1"]);
    assert.ok(!server.questions.some((question) => question.includes("localhost")));
  });

  it("whose servers do not answer, or cannot, fails for that", async () => {
    const late = { code: "ETIMEOUT", message: "dead-1.test: no answer" };
    await assert.rejects(lookup({ patienceMs: 500 })("dead-1.test"), late);
    await assert.rejects(lookup()("broken.test"), { code: "ESERVFAIL" });
  });

  it("that no name server knows is looked up as the system does it", async () => {
    const asked: string[] = [];
    const lastResort: Lookup = async (host) => {
      asked.push(host);
      return [{ address: "192.0.2.8", family: 4 }];
    };
    for (const host of ["unknown.test", "nothing.test", `${"x".repeat(64)}.test`])
      assert.deepEqual(await addresses(lookup({ lastResort })(host)), ["192.0.2.8"]);
    assert.equal(asked.length, 3);
    const closed = await startDnsServer();
    await closed.close();
    assert.deepEqual(await addresses(lookup({ lastResort, servers: [closed.address] })("four.test")), ["192.0.2.8"]);
  });

  it("whose servers are dead delays no other", async () => {
    const look = lookup({ patienceMs: 20_000 });
    let ended = 0;
    const dead = ["dead-1.test", "dead-2.test", "dead-3.test"].map((host) =>
      assert.rejects(
        look(host).finally(() => {
          ended += 1;
        }),
      ),
    );
    await eventually(() => dead.every((_, index) => server.questions.includes(`dead-${index + 1}.test AAAA`)));
    assert.deepEqual(await addresses(look("four.test")), ["192.0.2.4"]);
    assert.equal(ended, 0, "the dead ones were waited for");
    await Promise.all(dead);
  });

  it("leaves nothing open", async () => {
    const open = () => process.getActiveResourcesInfo().toSorted().join();
    const before = open();
    await Promise.all(["four.test", "unknown.test"].map((host) => lookup()(host).catch(() => {})));
    await lookup({ patienceMs: 100 })("dead-1.test").catch(() => {});
    await eventually(
      () => open() === before,
      5000,
      () => `${open()} instead of ${before}`,
    );
  });
});

describe("last resorts", () => {
  it("run two at a time", async () => {
    const running = { now: 0, most: 0, hosts: [] as string[] };
    const held = gate();
    const lastResort: Lookup = async (host) => {
      running.hosts.push(host);
      running.now += 1;
      running.most = Math.max(running.most, running.now);
      await held.opened;
      running.now -= 1;
      return [{ address: "192.0.2.9", family: 4 }];
    };
    const look = lookup({ lastResort });
    const answers = ["a", "b", "c", "d"].map((host) => addresses(look(host)));
    await eventually(() => running.now === 2);
    // A name that the servers know is not behind them.
    assert.deepEqual(await addresses(look("four.test")), ["192.0.2.4"]);
    held.open();
    for (const answer of answers) assert.deepEqual(await answer, ["192.0.2.9"]);
    assert.equal(running.most, 2);
    assert.deepEqual(running.hosts.toSorted(), ["a", "b", "c", "d"]);
  });

  it("that nobody waits for any more are not made", async () => {
    const held = gate();
    const asked: string[] = [];
    const lastResort: Lookup = async (host) => {
      asked.push(host);
      await held.opened;
      return [];
    };
    const look = lookup({ lastResort, patienceMs: 2000 });
    const first = [look("a"), look("b")];
    await eventually(() => asked.length === 2);
    const late = look("c");
    // It waits for its turn within half of the time.
    const endsMs = performance.now() + 3100;
    await eventually(() => performance.now() > endsMs, 10_000);
    held.open();
    await assert.rejects(late, /c: not looked up in time/);
    await Promise.all(first);
    assert.deepEqual(asked.toSorted(), ["a", "b"]);
  });
});
