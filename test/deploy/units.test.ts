import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** The systemd units, by what systemd says of them, and by what they have to agree on. */

const FOLDER = join(ROOT, "deploy/systemd");
const UNITS = globSync("*.{service,target}", { cwd: FOLDER }).sort();
const SERVICES = UNITS.filter((name) => name.endsWith(".service"));
const read = (name: string): string => readFileSync(join(FOLDER, name), "utf8");
const analyze = (...args: string[]) => spawnSync("systemd-analyze", args, { encoding: "utf8" });
const noSystemd = analyze("--version").status !== 0 && "systemd-analyze is not installed here";

/** The exposure that `systemd-analyze security` gives: 10 is the worst. What is left is the network, and V8's own needs. */
const EXPOSURE = 2;

describe("the systemd units", () => {
  it("are an api, a dispatcher in instances, a reporter, and a target of all", () => {
    assert.deepEqual(UNITS, [
      "async-mail-api.service",
      "async-mail-dispatcher@.service",
      "async-mail-reporter.service",
      "async-mail.target",
    ]);
  });

  for (const unit of UNITS)
    it(`${unit} is taken by systemd without a word`, { skip: noSystemd }, () => {
      // An instance of it, since there is nothing to say of a template alone.
      const instance = join(temporaryFolder(), unit.replace("@.", "@1."));
      copyFileSync(join(FOLDER, unit), instance);
      copyFileSync(join(FOLDER, "async-mail.target"), join(instance, "../async-mail.target"));
      const { status, stdout, stderr } = analyze("verify", "--man=no", instance);
      assert.deepEqual([status, stdout + stderr], [0, ""]);
    });

  for (const unit of SERVICES)
    it(`${unit} is hardened as far as Node allows`, { skip: noSystemd }, () => {
      const { status, stdout } = analyze(
        "security",
        "--offline=true",
        `--threshold=${EXPOSURE * 10}`,
        join(FOLDER, unit),
      );
      assert.equal(status, 0, stdout);
    });

  it("differ in what they run alone", () => {
    const common = SERVICES.map((unit) =>
      read(unit).replace(/^(Description|ExecStart|DefaultInstance)=.*\n|^# Metrics of.*\n/gm, ""),
    );
    assert.equal(new Set(common).size, 1);
  });

  it("start the lines of the Procfile, a dispatcher with a port of its own for metrics", () => {
    const lines = Object.fromEntries(
      readFileSync(join(ROOT, "Procfile"), "utf8")
        .trim()
        .split("\n")
        .map((line) => line.split(": ")),
    );
    const started = (name: string): string | undefined => /^ExecStart=(.*)$/m.exec(read(name))?.[1];
    assert.equal(started("async-mail-api.service"), `/usr/bin/env ${lines.api}`);
    assert.equal(started("async-mail-reporter.service"), `/usr/bin/env ${lines.reporter}`);
    const dispatcher = /^\/bin\/sh -c "(.*)"$/.exec(started("async-mail-dispatcher@.service") ?? "")?.[1];
    assert.equal(dispatcher, `METRICS_PORT=$$((9109 + %i)) exec ${lines.dispatcher}`);
    for (const [instance, port] of [
      ["1", "9110"],
      ["3", "9112"],
    ] as const) {
      const command: string = dispatcher!
        .replace("$$", "$")
        .replace("%i", instance)
        .replace(/exec .*/, 'sh -c "echo \\$METRICS_PORT"');
      assert.equal(spawnSync("sh", ["-c", command], { encoding: "utf8" }).stdout.trim(), port);
    }
  });

  it("wait longer for a stop than a process may take", () => {
    const grace = Number(
      /^shutdown_grace_seconds = (\d+)$/m.exec(readFileSync(join(ROOT, "config.ini.example"), "utf8"))?.[1],
    );
    for (const unit of SERVICES) assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(read(unit))?.[1]) > grace);
  });

  it("and mailctl work on the same configuration, database and user", () => {
    const mailctl = read("mailctl");
    for (const [, name, value] of read("async-mail-api.service").matchAll(/^Environment=(\w+)=(.*)$/gm))
      assert.ok(mailctl.includes(`${name}=${value}`), `${name}`);
    assert.ok(mailctl.includes("-u async-mail "));
    assert.equal(spawnSync("sh", ["-n", join(FOLDER, "mailctl")]).status, 0);
  });
});
