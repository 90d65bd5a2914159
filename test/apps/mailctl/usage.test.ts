import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { ROOT, startProcess } from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { MAIN, mailctl } from "./running-mailctl.ts";

test("help names every command, and each command its options", async () => {
  const cwd = temporaryFolder();
  const { code, stdout } = await mailctl(["--help"], { cwd });
  assert.equal(code, 0);
  for (const command of [
    "send",
    "messages",
    "accounts",
    "status",
    "suspend",
    "activate",
    "run-now",
    "rules",
    "tenants",
  ])
    assert.match(stdout, new RegExp(`mailctl ${command}`));
  for (const command of ["doctor", "backup", "restore", "import", "rotate-key", "completion"])
    assert.match(stdout, new RegExp(`mailctl ${command}`));
  assert.match((await mailctl(["accounts", "add", "--help"], { cwd })).stdout, /--password-file/);
});

test("what cannot be meant is exit code 2, with what is wanted in one line", async () => {
  const cwd = temporaryFolder();
  const wrong: [string[], RegExp][] = [
    [[], /wanted: a command/],
    [["staus"], /Did you mean status\?|Unknown/],
    [["status", "--no-such"], /Unknown argument/],
    [["messages"], /wanted: list, show, retry, delete or tail/],
    [["messages", "show"], /Not enough non-option arguments/],
    [["messages", "list", "--limit", "many"], /--limit: wanted a number/],
    [["accounts", "add", "a", "--password", "secret"], /--password is not taken from the command line/],
    [["tenants", "add", "a", "--client-secret", "secret"], /--client-secret is not taken from the command line/],
    [["send", "--to", "a@example.com"], /wanted: --from, --subject/],
    [["send", "--body", "-", "--html", "-"], /can be given once/],
    [["send", "--defer", "soon", "--from", "a@b.c", "--to", "a@b.c", "--subject", "s"], /--defer soon: wanted a span/],
    [["rules", "add", "x", "--days", "someday"], /--days someday: wanted mon/],
    [["status", "--url", "nowhere"], /--url nowhere: wanted http:\/\/host:port/],
    [["status", "--tenant", "a", "--tenant", "b"], /--tenant: wanted once/],
    [["doctor", "--timeout", "0"], /--timeout 0: wanted seconds above 0/],
  ];
  for (const [args, words] of wrong) {
    const { code, stderr, stdout } = await mailctl(args, { cwd });
    assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, words);
    assert.equal(stderr.includes("secret\n"), false);
    assert.equal(stdout, "");
  }
});

test("where nobody answers is exit code 3", async () => {
  const cwd = temporaryFolder();
  const { code, stderr } = await mailctl(["status"], { cwd, env: { MAILCTL_URL: "http://127.0.0.1:49151" } });
  assert.equal(code, 3);
  assert.match(stderr, /^mailctl: the service at http:\/\/127\.0\.0\.1:49151 cannot be reached \(ECONNREFUSED\).*\n$/);
});

test("a configuration that cannot be used is told with all its faults, where it is needed", async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, "config.ini"), "[server]\nport = many\n[smtp]\nhots = x\n");
  const { code, stderr } = await mailctl(["status"], { cwd });
  assert.equal(code, 1);
  assert.match(stderr, /hots.*; \[server\] port = "many"/);
  const told = await mailctl(["status"], { cwd, env: { MAILCTL_URL: "http://127.0.0.1:49151", MAILCTL_TOKEN: "t" } });
  assert.equal(told.code, 3);
});

test("address and token are those of the configuration, the token that the api has made among them", async () => {
  const api = await startProcess("api", { env: { API_TOKEN: "" }, config: "[server]\nhost = 0.0.0.0\n" });
  const { port } = new URL(await api.listening());
  const database = { DB_PATH: join(api.folder, "mail.db") };
  const { code, json, stderr } = await mailctl(["status", "--json"], {
    cwd: api.folder,
    env: { ...database, PORT: port },
  });
  assert.equal(code, 0, stderr);
  assert.equal(json.active, true);
  const wrong = await mailctl(["status", "--token", "another"], { cwd: api.folder, env: { ...database, PORT: port } });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /does not take the token: give --token-file, MAILCTL_TOKEN or API_TOKEN/);
  await api.stop();
});

test("the sandbox of npm start is found where nothing is configured", async () => {
  const cwd = temporaryFolder();
  const file = join(cwd, "data/sandbox.db");
  const env = { DB_PATH: file, ASYNC_MAIL_SANDBOX: "1", API_TOKEN: "" };
  const api = await startProcess("api", { folder: cwd, env });
  const url = await api.listening();
  const { code, stderr } = await mailctl(["status"], { cwd, env: { MAILCTL_URL: url } });
  assert.equal(code, 0, stderr);
  await api.stop();
});

test("completion prints scripts that a shell takes, and they name the commands", async () => {
  const cwd = temporaryFolder();
  const bash = await mailctl(["completion"], { cwd, env: { SHELL: "/bin/bash" } });
  assert.match(bash.stdout, /complete .*-F _mailctl_yargs_completions mailctl/);
  assert.equal(spawnSync("bash", ["-n"], { input: bash.stdout }).status, 0);
  const zsh = await mailctl(["completion"], { cwd, env: { SHELL: "/bin/zsh" } });
  assert.match(zsh.stdout, /#compdef mailctl/);
  const top = await mailctl(["--get-yargs-completions", "mailctl", ""], { cwd });
  assert.ok(top.stdout.split("\n").includes("doctor"), top.stdout);
  const below = await mailctl(["--get-yargs-completions", "mailctl", "accounts", ""], { cwd });
  assert.ok(below.stdout.split("\n").includes("verify"), below.stdout);
});

const PROMPTED = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
shown = b""
while b": " not in shown: shown += os.read(fd, 4096)
os.write(fd, b"typed-secret\\r")
try:
    while True:
        more = os.read(fd, 4096)
        if not more: break
        shown += more
except OSError: pass
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

test("a password that is asked for at a terminal is not shown, and arrives", async (t) => {
  if (spawnSync("python3", ["-c", "import pty"]).status !== 0) return t.skip("no python3, which plays the terminal");
  const api = await startProcess("api");
  const args = ["accounts", "add", "asked", "--host", "127.0.0.1", "--user", "me", "--ask-password"];
  const env = { ...process.env, MAILCTL_URL: await api.listening(), MAILCTL_TOKEN: "test-token" };
  const { status, stdout } = spawnSync("python3", ["-c", PROMPTED, process.execPath, MAIN, ...args], {
    cwd: api.folder,
    env,
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout);
  assert.match(stdout, /^Password of me: /);
  assert.equal(stdout.includes("typed-secret"), false);
  const { json } = await mailctl(["accounts", "show", "asked", "--json"], { cwd: api.folder, env });
  assert.equal(json.has_password, true);
  await api.stop();

  const nobody = await mailctl([...args], { cwd: api.folder });
  assert.deepEqual([nobody.code, /there is no terminal to ask at/.test(nobody.stderr)], [2, true]);
});

test("npm run and the package's bin both start it", () => {
  const npm = spawnSync("npm", ["run", "-s", "mailctl", "--", "--version"], { cwd: ROOT, encoding: "utf8" });
  assert.equal(npm.status, 0, npm.stderr);
  const bin = spawnSync(join(ROOT, "node_modules/.bin/mailctl"), ["--version"], { encoding: "utf8" });
  assert.equal(bin.stdout, npm.stdout);
});
