import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { apiClient } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";
import { aMessage } from "../support/messages.ts";
import { startSmtpServer } from "../support/smtp-server.ts";
import { startSyncClient } from "../support/sync-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { FIRST_RELEASE, makeFirstReleaseFile } from "./first-release.ts";
import { startTen } from "./ten-processes.ts";

for (const file of ["fresh", "first release's"])
  test(`ten processes started at once on a ${file} file all come to work, and lose nothing of it`, async (t) => {
    const smtp = await startSmtpServer();
    const client = await startSyncClient();
    const folder = temporaryFolder();
    const old = file !== "fresh";
    if (old) makeFirstReleaseFile(join(folder, "mail.db"), smtp);
    const env = {
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      SMTP_SECURITY: "none",
      PROXY_SYNC_URL: client.url,
    };
    const together = await startTen(folder, env);
    t.after(together.stop);
    assert.deepEqual(together.failures, []);

    const apis = together.procs.filter((proc) => proc.kind === "api");
    const [api, ...others] = await Promise.all(apis.map(async (proc) => apiClient(await proc.listening())));
    assert.ok(api);
    assert.equal((await api.addMessages(aMessage({ id: "new" }))).body.queued, 1);
    const waiting = ["new", ...(old ? FIRST_RELEASE.waiting : [])];
    const reported = [...waiting, ...(old ? FIRST_RELEASE.unreported : [])];
    await smtp.received(waiting.length, 60_000);
    // Two reporters may have posted one before one of them stood back.
    const posted = () => new Set(client.calls.flatMap((call) => call.body.delivery_report.map(({ id }) => id)));
    await eventually(() => posted().size === reported.length, 60_000, "every report");
    assert.deepEqual([...posted()].toSorted(), reported.toSorted());
    assert.equal(smtp.messages.length, waiting.length, "each once");
    for (const one of others) {
      const { body } = await one.get("/messages?limit=100");
      const all = [...reported, ...(old ? FIRST_RELEASE.reported : [])];
      assert.deepEqual(body.messages.map(({ id }: { id: string }) => id).toSorted(), all.toSorted());
    }
    assert.deepEqual(await together.stop(), []);
    await Promise.all([smtp.close(), client.close()]);
  });
