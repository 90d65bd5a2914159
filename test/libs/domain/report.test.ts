import assert from "node:assert/strict";
import { test } from "node:test";
import { type Reportable, toReport } from "@async-mail/domain/report";

const ROW: Reportable = {
  seq: 7,
  id: "m1",
  accountId: null,
  priority: 2,
  sentMs: null,
  errorMs: null,
  error: null,
  deferredMs: null,
  deferredReason: null,
  attempts: 1,
  messageId: "<m1@b.c>",
  smtpResponse: null,
  recipients: [],
};

const ALWAYS = {
  id: "m1",
  account_id: null,
  priority: 2,
  sent_ts: null,
  error_ts: null,
  error: null,
  deferred_ts: null,
};
const KNOWN = { attempts: 1, message_id: "<m1@b.c>", seq: 7 };

test("report: sent", () => {
  const recipients = [{ address: "a@b.c", outcome: "accepted" as const, code: 250, response: "ok" }];
  assert.deepEqual(
    toReport({ ...ROW, accountId: "acc", sentMs: 1_800_000_000_000, smtpResponse: "250 ok", recipients }),
    {
      ...ALWAYS,
      ...KNOWN,
      account_id: "acc",
      sent_ts: 1_800_000_000,
      smtp_response: "250 ok",
      recipients,
    },
  );
});

test("report: error", () => {
  const row = { ...ROW, errorMs: 1_800_000_000_000, error: "550 no" };
  assert.deepEqual(toReport(row), { ...ALWAYS, ...KNOWN, error_ts: 1_800_000_000, error: "550 no" });
});

test("report: deferred", () => {
  const row = { ...ROW, deferredMs: 1_800_000_060_000, deferredReason: "retry: 450 busy" };
  assert.deepEqual(toReport(row), {
    ...ALWAYS,
    ...KNOWN,
    deferred_ts: 1_800_000_060,
    deferred_reason: "retry: 450 busy",
  });
});

test("report: a final state says nothing of how the message had waited", () => {
  const before = { deferredMs: 1, deferredReason: "retry: x", error: "an earlier life's" };
  assert.deepEqual(toReport({ ...ROW, ...before, sentMs: 2000 }), { ...ALWAYS, ...KNOWN, sent_ts: 2 });
  const { error_ts, error, deferred_ts, deferred_reason } = toReport({ ...ROW, ...before, errorMs: 2000 });
  assert.deepEqual(
    { error_ts, error, deferred_ts, deferred_reason },
    { error_ts: 2, error: "an earlier life's", deferred_ts: null, deferred_reason: undefined },
  );
});
