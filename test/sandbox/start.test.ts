import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import test from "node:test";
import { parseArgs } from "node:util";
import { simpleParser } from "mailparser";
import { apiClient } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { ROOT, startProcess } from "../support/processes.ts";
import { type Exit, startProgram } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Three processes start side by side; a machine may be busy with other tests. */
const DEADLINE_MS = 60_000;
const inGoodOrder: Exit = { code: 0, signal: null };

test("the first start shows a message through the whole loop, and Ctrl-C ends all cleanly", async (t) => {
  const folder = temporaryFolder();
  const port = await freePort();
  const start = npmStart({ folder, port });
  const took = /hello {3}accepted after \d+ ms, delivered after \d+ ms, reported after \d+ ms/;
  await start.printed(took);

  await t.test("the first line says that it is a sandbox", () => {
    assert.match(start.output(), /^SANDBOX: /);
  });
  await t.test("the mail is kept as a file, for its owner's eyes", async () => {
    const [name = ""] = readdirSync(join(folder, "sandbox-mail"));
    assert.match(name, /\.eml$/);
    const file = join(folder, "sandbox-mail", name);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const mail = await simpleParser(readFileSync(file));
    assert.equal(mail.subject, "Hello from the sandbox");
  });
  await t.test("the line to paste works, and shows no token where there is no terminal", async () => {
    const line = /^ {2}(curl .*)$/m.exec(await start.printed(/curl .*/))?.[1] ?? "";
    assert.ok(!start.output().includes(tokenIn(folder)));
    assert.deepEqual(await curl(line), { ok: true, queued: 1, rejected: [] });
    await start.printed(/report {2}try-\d+ {2}sent/);
  });
  await t.test("Ctrl-C: all end in good order", async () => {
    start.interrupt();
    assert.deepEqual(await start.exited(), inGoodOrder);
    assert.match(start.output(), /The sandbox is closed/);
    assert.doesNotMatch(start.output(), /ERROR|though nobody asked/);
  });
  await t.test("the second start sends no hello, and finds what was kept", async () => {
    const again = npmStart({ folder, port });
    await again.printed(/Messages kept so far: 2/);
    again.interrupt();
    assert.deepEqual(await again.exited(), inGoodOrder);
    assert.doesNotMatch(again.output(), took);
  });
});

test("when one process dies, all end, with its name and exit code 1", async () => {
  const folder = temporaryFolder();
  const port = await freePort();
  const start = npmStart({ folder, port });
  await start.printed(/reported after/);
  const { body } = await apiClient(`http://127.0.0.1:${port}`, tokenIn(folder)).get("/status");
  const dispatcher = body.processes.find((one: { kind: string }) => one.kind === "dispatcher");
  process.kill(dispatcher.pid, "SIGKILL");
  assert.equal((await start.exited()).code, 1);
  assert.match(start.output(), /dispatcher ended \(SIGKILL\) though nobody asked it to: stopping the others/);
});

test("a port in use is named", async () => {
  const squatter = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => squatter.once("listening", resolve));
  squatter.unref(); // it must not outlive a failure of this test
  const { port } = squatter.address() as AddressInfo;
  const start = npmStart({ folder: temporaryFolder(), port });
  assert.equal((await start.exited()).code, 1);
  assert.match(start.output(), new RegExp(`Port ${port} on 127.0.0.1 is in use`));
  squatter.close();
});

test("with one setting there is no sandbox", async () => {
  const folder = temporaryFolder();
  const env = { DB_PATH: join(folder, "real.db"), PORT: "0", HOST: "127.0.0.1" };
  const start = npmStart({ folder, port: await freePort(), env });
  await start.printed(/"event":"listening"/);
  assert.match(start.output(), /Configured by DB_PATH/);
  assert.doesNotMatch(start.output(), /SANDBOX/);
  start.interrupt();
  assert.deepEqual(await start.exited(), inGoodOrder);
  assert.ok(!readdirSync(folder).includes("sandbox.db"));
});

test("a database used without the sandbox is never opened by it", async () => {
  const folder = temporaryFolder();
  const real = await startProcess("api", { folder, env: { DB_PATH: join(folder, "sandbox.db") } });
  await real.listening();
  assert.equal((await real.stop()).code, 0);
  const start = npmStart({ folder, port: await freePort() });
  assert.equal((await start.exited()).code, 1);
  assert.match(start.output(), /sandbox/i);
});

function tokenIn(folder: string): string {
  return readFileSync(join(folder, "sandbox.db.token"), "utf8").trim();
}

type Start = {
  output(): string;
  printed(looks: RegExp): Promise<string>;
  /** As a terminal's Ctrl-C reaches it: the launcher, and all that it started. */
  interrupt(): void;
  exited(): Promise<Exit>;
};

/** `npm start`, but for npm: without any setting, unless `env` has one. */
function npmStart({ folder, port, env = {} }: { folder: string; port: number; env?: Record<string, string> }): Start {
  const program = startProgram([join(ROOT, "scripts/start.ts"), "--port", String(port), "--folder", folder], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, HOME: folder, ...env },
    group: true,
  });
  return {
    output: program.output,
    printed: async (looks) => {
      const come = () => looks.test(program.output()) || program.exit();
      await eventually(come, DEADLINE_MS, () => `${looks} in the output\n${program.output()}`);
      assert.match(program.output(), looks);
      return program.output();
    },
    interrupt: () => program.kill("SIGINT"),
    exited: () => program.exited(),
  };
}

/** Has the shell read the line, as it would where it is pasted, and does what curl would: not every machine has one. */
async function curl(line: string): Promise<unknown> {
  const script = `curl() { "${process.execPath}" -p 'JSON.stringify(process.argv.slice(1))' -- "$@"; }; ${line}`;
  const [silent, url, ...options] = JSON.parse(execFileSync("sh", ["-c", script], { encoding: "utf8" }));
  assert.equal(silent, "-s");
  const { values } = parseArgs({
    args: options,
    options: { H: { type: "string", short: "H", multiple: true }, d: { type: "string", short: "d" } },
  });
  const headers = (values.H ?? []).map((header) => header.split(/: (.*)/).slice(0, 2) as [string, string]);
  const response = await fetch(url, { method: "POST", headers, ...(values.d ? { body: values.d } : {}) });
  return response.json();
}
