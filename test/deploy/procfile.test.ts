import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { apiClient } from "../support/api-client.ts";
import { freePort } from "../support/free-port.ts";
import { aMessage } from "../support/messages.ts";
import { type Proc, type ProcessKind, ROOT, startProcess } from "../support/processes.ts";
import { startSmtpServer } from "../support/smtp-server.ts";
import { startSyncClient } from "../support/sync-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const lines = readFileSync(join(ROOT, "Procfile"), "utf8").trim().split("\n");

test("each line of the Procfile starts one kind of process", () => {
  const kinds = ["api", "dispatcher", "reporter"];
  assert.deepEqual(
    lines,
    kinds.map((kind) => `${kind}: node apps/${kind}/src/main.ts`),
  );
});

test("with dispatcher=3, and the PORT that such managers give to each, no two meet on a port, and mail flows", async () => {
  const smtp = await startSmtpServer();
  const client = await startSyncClient();
  const folder = temporaryFolder();
  const env = {
    ...{ SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), SMTP_SECURITY: "none" },
    ...{ PROXY_SYNC_URL: client.url, HOST: "127.0.0.1" },
  };
  // A hundred for each line, as foreman and its kin count; the first is free for sure.
  const base = await freePort();
  const start = (kind: string, port: number): Promise<Proc> =>
    startProcess(kind as ProcessKind, { folder, env: { ...env, PORT: String(port) } });
  const kinds = lines.map((line) => line.split(":")[0]!);
  const counts: Record<string, number> = { dispatcher: 3 };
  const procs = await Promise.all(
    kinds.flatMap((kind, line) =>
      Array.from({ length: counts[kind] ?? 1 }, (_, n) => start(kind, base + 100 * line + n)),
    ),
  );
  const urls = await Promise.all(procs.map((proc) => proc.listening()));
  assert.equal(new Set(urls).size, 5);
  assert.equal(new URL(urls[0]!).port, String(base));
  const api = apiClient(urls[0]!);
  await api.addMessages(...Array.from({ length: 20 }, (_, n) => aMessage({ id: `m-${n}` })));
  await smtp.received(20);
  await client.reports(20);
  const ended = await Promise.all(procs.map((proc) => proc.stop()));
  assert.deepEqual(
    ended.map(({ code }) => code),
    [0, 0, 0, 0, 0],
  );
  await Promise.all([smtp.close(), client.close()]);
});
