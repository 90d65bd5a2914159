import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { eventually, gate } from "../support/eventually.ts";
import { aMessage } from "../support/messages.ts";
import { startService } from "../support/service.ts";
import { startSmtpServer } from "../support/smtp-server.ts";

const FAST = 3000;
/** On five connections: one each, one begun behind it, one composed ahead. */
const FEW = 15;
/** Far more than it takes where nothing stands in the way, and less than a look at what is stuck. */
const AT_ONCE_MS = 5_000;

test("an account whose server hangs after it was fast delays no other's mail, and its own may be taken back", async (t) => {
  // Ten connections, twenty slots: a tenth of a second of the fast account's mail is more.
  const service = await startService({ config: "[delivery]\nmax_connections = 10\nmax_connections_per_account = 5\n" });
  const [hang, other] = [gate(), await startSmtpServer()];
  t.after(async () => {
    hang.open();
    await Promise.all([service.stop(), other.close()]);
  });
  const { host, port } = service.smtp;
  let taken = 0;
  service.smtp.script = {
    onData: async () => {
      taken += 1;
      if (taken > FAST / 2) await hang.opened;
      return undefined;
    },
  };
  await service.api.post("/account", { id: "fast", host, port, security: "none" });
  await service.api.post("/account", { id: "other", host: other.host, port: other.port, security: "none" });
  for (let from = 0; from < FAST; from += 500)
    await service.api.addMessages(...Array.from({ length: 500 }, () => aMessage({ account_id: "fast" })));
  await eventually(() => taken > FAST / 2, 60_000, "the moment from which the server hangs");

  for (let i = 0; i < 3; i += 1) {
    await service.api.addMessages(aMessage({ account_id: "other" }));
    await other.received(i + 1, AT_ONCE_MS);
  }

  const inFlight = async () => (await service.api.get("/account/fast")).body.in_flight;
  await eventually(async () => (await inFlight()) <= FEW, 10_000, "few messages in flight");
  // That they went back is no pace: as many must not be claimed again. Twice as long as it takes to find out.
  for (let i = 0; i < 20; i += 1) {
    const count = await inFlight();
    assert.ok(count <= FEW, `${count} are claimed`);
    await pause(100);
  }

  // What waits behind the hanging messages can be deleted.
  const { body } = await service.api.get("/messages?status=pending&account_id=fast&limit=1000");
  const ids = body.messages.map(({ id }: { id: string }) => id);
  const answer = await service.api.post("/commands/delete-messages", { ids });
  assert.ok(answer.body.removed >= ids.length - FEW, answer.text);
});
