import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import fs, {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { KeyFileError, keyFile } from "@async-mail/runtime/key-file";
import { createKeyRing } from "@async-mail/runtime/key-ring";
import { eventually } from "../../support/eventually.ts";
import { startProgram } from "../../support/programs.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const CHILD = fileURLToPath(new URL("key-ring.child.ts", import.meta.url));

/** A ring over a database in a folder of its own, unless one is given. */
function ringOf({ dbPath = join(temporaryFolder(), "mail.db"), configured = null as string[] | null } = {}) {
  const again = () => createKeyRing({ configured, dbPath, randomKey: () => randomBytes(32) });
  const file = keyFile(dbPath);
  /** What stands in the file, but for comments. */
  const lines = () =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
  return { ring: again(), again, file, dbPath, folder: join(dbPath, ".."), lines };
}

const base64 = (bytes: Buffer) => bytes.toString("base64");
const idOf = (key: Buffer) => createHash("sha256").update(key).digest("hex").slice(0, 8);
const modeOf = (file: string) => statSync(file).mode & 0o777;

test("looking for keys makes none", () => {
  const { ring, folder } = ringOf();
  assert.equal(ring.newest(), null);
  assert.equal(ring.find("0badf00d"), null);
  assert.deepEqual(ring.ids(), []);
  assert.equal(ring.exposed(), false);
  assert.deepEqual(readdirSync(folder), []);
});

test("a key is made once, in a file of mode 600 that says what it is, and found by every other process", () => {
  const umask = process.umask(0);
  const { ring, again, file, folder, lines } = ringOf();
  const made = ring.make();
  process.umask(umask);
  assert.equal(made.key.length, 32);
  assert.equal(made.id, idOf(made.key));
  assert.equal(ring.file, file);
  assert.equal(modeOf(file), 0o600);
  assert.match(
    readFileSync(file, "utf8"),
    /^# The key of the secrets in mail\.db: .*\n# Without this file .*backup.*unreadable/,
  );
  assert.deepEqual(lines(), [base64(made.key)]);
  assert.deepEqual(readdirSync(folder), ["mail.db.key"]);
  for (const one of [ring, again()]) {
    assert.deepEqual(one.make(), made);
    assert.deepEqual(one.newest(), made);
    assert.deepEqual(one.find(made.id), made.key);
    assert.equal(one.find("0badf00d"), null);
    assert.equal(one.configured, false);
  }
});

test("of ten processes that start at once one makes the key of all", async () => {
  const rounds = 200;
  const folder = temporaryFolder();
  const all = Array.from({ length: 10 }, () =>
    startProgram(["--import", "tsx", CHILD, "make", folder, `${rounds}`], { cwd: process.cwd(), env: process.env }),
  );
  await eventually(() => all.every((one) => one.stdout().startsWith("ready")), 60_000);
  writeFileSync(join(folder, "go"), "");
  for (const one of all) assert.equal((await one.exited()).code, 0, one.output());
  const made: string[][] = all.map((one) => JSON.parse(one.stdout().split("\n")[1] ?? ""));
  for (let round = 0; round < rounds; round++) {
    const kept = ringOf({ dbPath: join(folder, `${round}.db`) }).ring.newest();
    assert.deepEqual([...new Set(made.map((ids) => ids[round]))], [kept?.id], `round ${round}`);
  }
  const drafts = readdirSync(folder).filter((name) => !/^(go|\d+\.db\.key)$/.test(name));
  assert.deepEqual(drafts, []);
});

test("a key that is added is the newest, and the old ones still open; others see both at once", () => {
  const { ring, again, file, folder, lines } = ringOf();
  const old = ring.make();
  const other = again();
  assert.deepEqual(other.newest(), old);
  const added = ring.add();
  assert.notEqual(added.id, old.id);
  assert.deepEqual(lines(), [base64(added.key), base64(old.key)]);
  assert.equal(modeOf(file), 0o600);
  assert.deepEqual(readdirSync(folder), ["mail.db.key"]);
  assert.deepEqual(other.find(added.id), added.key);
  for (const one of [ring, other, again()]) {
    assert.deepEqual(one.newest(), added);
    assert.deepEqual(one.find(old.id), old.key);
    assert.deepEqual(one.ids(), [added.id, old.id]);
  }
});

test("a key that is dropped is gone from the file; the last one is kept", () => {
  const { ring, again, file, folder, lines } = ringOf();
  const old = ring.make();
  const added = ring.add();
  ring.drop([old.id, "0badf00d"]);
  assert.deepEqual(lines(), [base64(added.key)]);
  assert.equal(modeOf(file), 0o600);
  assert.equal(again().find(old.id), null);
  assert.throws(() => ring.drop([added.id]), /mail\.db\.key would be left without a key/);
  assert.deepEqual(lines(), [base64(added.key)]);
  assert.deepEqual(readdirSync(folder), ["mail.db.key"]);
});

test("keys that are configured are used, and no file is made", () => {
  const [fresh, old] = [randomBytes(32), randomBytes(32)];
  const { ring, folder } = ringOf({ configured: [base64(fresh), base64(old)] });
  const first = { id: idOf(fresh), key: fresh };
  assert.deepEqual(ring.newest(), first);
  assert.deepEqual(ring.make(), first);
  assert.deepEqual(ring.find(idOf(old)), old);
  assert.equal(ring.find("0badf00d"), null);
  assert.equal(ring.configured, true);
  assert.throws(() => ring.add(), /storage\.encryption_key is configured/);
  ring.drop([idOf(old)]);
  assert.deepEqual(readdirSync(folder), []);
});

test("what was sealed with the file's key opens once another is configured; the file goes when its keys are dropped", () => {
  const { ring: before, dbPath, folder } = ringOf();
  const old = before.make();
  const { ring } = ringOf({ dbPath, configured: [base64(randomBytes(32))] });
  assert.deepEqual(ring.find(old.id), old.key);
  assert.deepEqual(ring.ids(), [ring.newest()?.id, old.id]);
  ring.drop([old.id]);
  assert.deepEqual(readdirSync(folder), []);
});

test("a file written by hand is read: other forms of base64, hex, comments, line ends of Windows", () => {
  const { ring, file } = ringOf();
  const keys = Array.from({ length: 3 }, () => randomBytes(32));
  const [first, second, third] = keys as [Buffer, Buffer, Buffer];
  const hex = third.toString("hex").toUpperCase();
  writeFileSync(file, `\ufeff# mine\r\n${first.toString("base64url")}\r\n\r\n  ${base64(second)} \n # old\n${hex}`);
  assert.deepEqual(ring.ids(), keys.map(idOf));
});

const DAMAGED: [what: string, text: string, fault: RegExp][] = [
  ["empty", "", /mail\.db\.key holds no key, wanted: a line of 32 random bytes in base64.*restore it from a backup/],
  ["only comments", "# nothing\n\n", /holds no key/],
  ["a short key", `${base64(randomBytes(31))}\n`, /is damaged: what stands at place 1 is no key, wanted/],
  ["a long key", base64(randomBytes(33)), /is damaged/],
  ["half a key more", `${base64(randomBytes(32))}\n${base64(randomBytes(32)).slice(0, 20)}`, /at place 2 is no key/],
  ["words", "correct horse battery staple", /is damaged/],
  ["zeros of a torn write", "\0".repeat(44), /is damaged/],
];

for (const [what, text, fault] of DAMAGED) {
  test(`a key file with ${what} is refused by name, with nothing of it shown, and left as it is`, () => {
    const { ring, file, folder } = ringOf();
    writeFileSync(file, text, { mode: 0o600 });
    for (const action of [ring.newest, ring.make, ring.add, ring.ids, () => ring.find("0badf00d")])
      assert.throws(action, (error) => {
        assert.ok(error instanceof KeyFileError, String(error));
        assert.match(error.message, fault);
        for (const word of text.split(/\s/).filter((word) => word.length > 7)) assert.ok(!error.message.includes(word));
        return true;
      });
    assert.equal(readFileSync(file, "utf8"), text);
    assert.deepEqual(readdirSync(folder), ["mail.db.key"]);
  });
}

test("a file that others may read is used, and told of", () => {
  const { ring, file } = ringOf();
  const made = ring.make();
  assert.equal(ring.exposed(), false);
  for (const mode of [0o644, 0o640, 0o604]) {
    chmodSync(file, mode);
    assert.equal(ring.exposed(), true, mode.toString(8));
    assert.deepEqual(ring.newest(), made);
  }
  chmodSync(file, 0o400);
  assert.equal(ring.exposed(), false);
});

test("a file that is gone is missed by who would add to it, and does not take known keys from who has them", () => {
  const { ring, file, folder } = ringOf();
  const made = ring.make();
  rmSync(file);
  assert.equal(ring.newest(), null);
  assert.deepEqual(ring.find(made.id), made.key);
  assert.throws(() => ring.add(), /mail\.db\.key is missing, wanted: the keys in use/);
  assert.deepEqual(readdirSync(folder), []);
});

test("what a killed process left beside the file is not taken for it, and goes with the next rotation", () => {
  const { ring, file, folder } = ringOf();
  writeFileSync(`${file}.0badf00d`, "half of a li", { mode: 0o600 });
  const others = ["mail.db.key.backup", "mail.db.token.0badf00d", "0badf00d"];
  for (const name of others) writeFileSync(join(folder, name), "");
  const old = ring.make();
  assert.equal(ring.newest()?.id, old.id);
  writeFileSync(`${file}.0badf00e`, base64(old.key), { mode: 0o600 });
  ring.add();
  assert.deepEqual(readdirSync(folder).sort(), [...others, "mail.db.key"].sort());
  writeFileSync(`${file}.0badf00e`, base64(old.key), { mode: 0o600 });
  ring.drop([old.id]);
  assert.deepEqual(readdirSync(folder).sort(), [...others, "mail.db.key"].sort());
});

/** A process that rotates for ever, once it has done so that many times. */
async function rotating(folder: string, times: number) {
  const child = startProgram(["--import", "tsx", CHILD, "rotate", folder], { cwd: process.cwd(), env: process.env });
  await eventually(() => child.stdout().split("\n").length > times, 60_000);
  return child;
}

test("a process killed while it rotates leaves a whole file, with the key in use in it", async () => {
  const { ring, again, folder, file } = ringOf();
  const inUse = ring.make();
  for (let round = 1; round <= 5; round++) {
    const child = await rotating(folder, round * 10);
    child.kill("SIGKILL");
    await child.exited();
    assert.deepEqual(again().find(inUse.id), inUse.key);
    assert.equal(modeOf(file), 0o600);
    // The child keeps what was newest when it began.
    ring.drop(ring.ids().filter((id) => id !== inUse.id));
  }
});

test("while another process rotates, whoever reads finds a whole file", async () => {
  const { ring, again, folder } = ringOf();
  const inUse = ring.make();
  const child = await rotating(folder, 1);
  for (let reads = 0; reads < 2000; reads++) assert.ok(again().ids().includes(inUse.id));
  assert.equal(child.exit(), undefined, child.output());
  child.kill("SIGKILL");
  await child.exited();
});

/** What is synced, linked and renamed meanwhile, in order, by the files' names. */
function stepsOf(action: () => void): string[] {
  const { fsyncSync, linkSync, renameSync } = fs;
  const steps: string[] = [];
  const named = (path: unknown) => basename(String(path)).replace(/\.[0-9a-f]{8}$/, ".<id>");
  fs.fsyncSync = (opened) => {
    steps.push(`sync ${named(fs.readlinkSync(`/proc/self/fd/${opened}`))}`);
    fsyncSync(opened);
  };
  fs.linkSync = (from, to) => {
    steps.push(`link ${named(to)}`);
    linkSync(from, to);
  };
  fs.renameSync = (from, to) => {
    steps.push(`rename ${named(to)}`);
    renameSync(from, to);
  };
  syncBuiltinESMExports();
  try {
    action();
  } finally {
    Object.assign(fs, { fsyncSync, linkSync, renameSync });
    syncBuiltinESMExports();
  }
  return steps;
}

test("a key is on disk before anything can be sealed with it, and so is its name", () => {
  const { ring, again, folder } = ringOf();
  const draft = "sync mail.db.key.<id>";
  const named = `sync ${basename(folder)}`;
  assert.deepEqual(stepsOf(ring.make), [draft, "link mail.db.key", named]);
  assert.deepEqual(stepsOf(again().make), [named], "who comes too late cannot know whether the maker has got so far");
  assert.deepEqual(stepsOf(ring.add), [draft, "rename mail.db.key", named]);
  assert.deepEqual(
    stepsOf(() => ring.drop(ring.ids().slice(1))),
    [draft, "rename mail.db.key", named],
  );
});

test("where the file is a link, what it leads to is read and replaced; a link to nowhere is refused", () => {
  const { ring, file, folder } = ringOf();
  const elsewhere = join(temporaryFolder(), "secret.key");
  symlinkSync(elsewhere, file);
  assert.throws(() => ring.make(), /mail\.db\.key leads nowhere/);
  assert.deepEqual(readdirSync(folder), ["mail.db.key"]);
  const key = randomBytes(32);
  writeFileSync(elsewhere, base64(key));
  assert.deepEqual(ring.newest()?.key, key);
  ring.add();
  assert.equal(readlinkSync(file), elsewhere);
  assert.equal(modeOf(elsewhere), 0o600);
  ring.drop([idOf(key)]);
  assert.equal(readFileSync(elsewhere, "utf8").includes(base64(key)), false);
});

test("a file that cannot be made is a fault that names it, and what else there is", () => {
  const dbPath = join(temporaryFolder(), "not-there", "mail.db");
  const { ring } = ringOf({ dbPath });
  assert.throws(
    () => ring.make(),
    (error) => {
      assert.ok(error instanceof KeyFileError);
      assert.match(
        error.message,
        /not-there\/mail\.db\.key cannot be made \(where ENCRYPTION_KEY is set, none is needed\): ENOENT/,
      );
      assert.equal("syscall" in error, false);
      return true;
    },
  );
  const { ring: folderInstead, file } = ringOf();
  mkdirSync(file);
  assert.throws(() => folderInstead.newest(), /mail\.db\.key cannot be read: EISDIR/);
});

const root = process.geteuid?.() === 0;

test("what root writes belongs to the owner of the database", { skip: root ? false : "needs root" }, () => {
  const { ring, file, dbPath } = ringOf();
  writeFileSync(dbPath, "");
  chownSync(dbPath, 12345, 23456);
  ring.make();
  assert.deepEqual([statSync(file).uid, statSync(file).gid], [12345, 23456]);
  ring.add();
  assert.deepEqual([statSync(file).uid, statSync(file).gid, modeOf(file)], [12345, 23456, 0o600]);
});
