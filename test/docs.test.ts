import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT } from "./support/processes.ts";
import { type Service, startService } from "./support/service.ts";

/** Every command in the documents is run, each document's in their order, but those that say why they are not. */

type Block = { line: number; text: string; notRun: string | null };

const documents = globSync("docs/*.md", { cwd: ROOT }).sort();
const hasCurl = spawnSync("curl", ["--version"]).status === 0;

let service: Service;
before(async () => {
  service = await startService();
});
after(() => service.stop());

for (const document of documents) {
  const blocks = blocksOf(readFileSync(join(ROOT, document), "utf8"));
  const toRun = blocks.filter(({ notRun }) => notRun === null);
  if (toRun.length === 0) continue;
  const skip = !hasCurl && toRun.some(({ text }) => text.includes("curl ")) && "curl is not installed here";
  test(`the commands of ${document} work as they stand`, { skip }, () => {
    for (const { line, text } of toRun) {
      const { status, stdout, stderr } = spawnSync("bash", ["-euo", "pipefail", "-c", text], {
        cwd: ROOT,
        encoding: "utf8",
        env: { ...process.env, ...environment() },
      });
      assert.equal(status, 0, `${document}:${line}\n${text}\n${stdout}\n${stderr}`);
    }
  });
}

test("every link between the documents and to the code leads somewhere", () => {
  for (const document of [...documents, "README.md"]) {
    const text = readFileSync(join(ROOT, document), "utf8");
    for (const [, target = ""] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(join(ROOT, dirname(document), target)), `${document}: ${target}`);
    }
  }
});

test("a command that is not run says why", () => {
  for (const document of documents)
    for (const { line, notRun } of blocksOf(readFileSync(join(ROOT, document), "utf8")))
      assert.ok(notRun === null || notRun.length > 10, `${document}:${line}`);
});

/** As an operator's shell has it. */
function environment(): Record<string, string> {
  const [url] = service.processes.api.log.filter(({ event }) => event === "listening").map((line) => line.url);
  return {
    MAIL: url,
    TOKEN: "test-token",
    DB_PATH: join(service.folder, "mail.db"),
    API_TOKEN: "test-token",
    MAILCTL_URL: url,
  };
}

function blocksOf(text: string): Block[] {
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    if (line.trim() !== "```sh") return [];
    const end = lines.indexOf("```", index);
    const mark = /^<!-- not run[^:]*: (.*) -->$/.exec(lines[index - 1] ?? "");
    return [{ line: index + 2, text: lines.slice(index + 1, end).join("\n"), notRun: mark?.[1] ?? null }];
  });
}
