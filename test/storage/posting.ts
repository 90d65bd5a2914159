import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Answer } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";
import { aMessage } from "../support/messages.ts";
import type { Service } from "../support/service.ts";

export type Posting = {
  /** Ids answered 200. */
  accepted: string[];
  /** What was answered otherwise, by id. */
  refused: Map<string, Answer>;
  /** Resolves when `count` more were answered 200. */
  acceptedMore(count: number, deadlineMs?: number): Promise<unknown>;
  /** Resolves at the first answer that is not 200, with it. */
  firstRefusal(deadlineMs?: number): Promise<Answer>;
  stop(): Promise<void>;
};

const CLIENTS = 3;
const EVERY_MS = 20;
const PATIENCE_MS = 60_000;

/** Clients that post one message after another, whatever they are answered, until `stop` or the end of the test. */
export function startPosting(t: TestContext, service: Service, message: object = {}): Posting {
  const accepted: string[] = [];
  const refused: Posting["refused"] = new Map();
  let count = 0;
  let stopped = false;

  const postOne = async () => {
    count += 1;
    const id = `posted-${count}`;
    const answer = await service.api.addMessages(aMessage({ id, to: `${id}@example.org`, ...message }));
    if (answer.status === 200) accepted.push(id);
    else refused.set(id, answer);
  };
  // Also of one that failed: nobody must be left who keeps connections to it open.
  t.after(() => {
    stopped = true;
    return service.stop();
  });
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!stopped) await Promise.all([postOne(), pause(EVERY_MS)]);
  });

  return {
    accepted,
    refused,
    acceptedMore(more, deadlineMs = PATIENCE_MS) {
      const wanted = accepted.length + more;
      return eventually(() => accepted.length >= wanted, deadlineMs, `${more} more messages accepted`);
    },
    firstRefusal: (deadlineMs = PATIENCE_MS) => eventually(() => [...refused.values()][0], deadlineMs, "a refusal"),
    async stop() {
      stopped = true;
      await Promise.all(clients);
    },
  };
}

/** Every refusal asks to come again, and is no verdict on the messages. */
export function assertRefusals({ refused }: Posting, error: RegExp): void {
  for (const { status, headers, body } of refused.values()) {
    assert.equal(status, 503);
    assert.match(body.error, error);
    assert.ok(Number(headers.get("retry-after")) > 0, "it says when to come again");
    assert.equal("rejected" in body, false);
  }
}

/** What was answered 200 arrives once and is reported as sent; of what was refused, there is no trace. */
export async function assertNothingLost(service: Service, { accepted, refused }: Posting): Promise<void> {
  const arrived = () => service.smtp.messages.map((one) => one.to[0]?.split("@")[0] ?? "");
  await eventually(() => new Set(arrived()).size >= accepted.length, PATIENCE_MS, "every message accepted");
  const reported = () => new Set(sentReports(service));
  await eventually(() => reported().size >= accepted.length, PATIENCE_MS, "every report");
  assert.deepEqual(arrived().toSorted(), accepted.toSorted(), "what arrived is what was accepted, each once");
  assert.deepEqual([...reported()].toSorted(), accepted.toSorted());
  for (const id of refused.keys()) assert.equal((await service.api.get(`/messages/${id}`)).status, 404, id);
  assert.equal((await service.api.get("/status")).body.pending_messages, 0);
}

function sentReports({ client }: Service): string[] {
  const items = client.calls.flatMap((call) => call.body.delivery_report);
  return items.filter((one) => one.sent_ts !== null).map((one) => one.id);
}
