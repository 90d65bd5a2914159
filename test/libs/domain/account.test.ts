import assert from "node:assert/strict";
import { test } from "node:test";
import { type Account, defaultAccount, deriveSecurity, parseAccount } from "@async-mail/domain/account";

function account(fields: object): Account {
  const parsed = parseAccount({ id: "acc", host: "smtp.example.com", ...fields });
  assert.ok(parsed.ok, parsed.ok ? "" : JSON.stringify(parsed.issues));
  return parsed.account;
}

test("account: the least that is accepted", () => {
  assert.deepEqual(parseAccount({ id: "acc", host: "smtp.example.com" }), {
    ok: true,
    account: {
      id: "acc",
      host: "smtp.example.com",
      port: 587,
      user: null,
      password: null,
      useTls: null,
      security: "opportunistic",
      ttlSeconds: 300,
      limits: { perMinute: null, perHour: null, perDay: null, recipientsPerDay: null },
      limitBehavior: "defer",
      maxConnections: null,
      batchSize: null,
      timeoutSeconds: null,
      tlsCa: null,
      tlsServername: null,
      onAmbiguous: null,
    },
    keepPassword: true,
    warnings: [],
  });
});

test("account: every field", () => {
  const tls_ca = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
  const fields = {
    ...{ port: 2525, user: "u", password: "p", use_tls: true, security: "tls", ttl: 60, limit_behavior: "reject" },
    ...{ limit_per_minute: 1, limit_per_hour: 2, limit_per_day: 3, limit_recipients_per_day: 4, max_connections: 5 },
    ...{ batch_size: 6, timeout: 7.5, tls_ca, tls_servername: "mx.example.com", on_ambiguous: "fail" },
  };
  assert.deepEqual(account(fields), {
    ...{ id: "acc", host: "smtp.example.com", port: 2525, user: "u", password: "p", useTls: true, security: "tls" },
    ...{
      ttlSeconds: 60,
      limits: { perMinute: 1, perHour: 2, perDay: 3, recipientsPerDay: 4 },
      limitBehavior: "reject",
    },
    ...{ maxConnections: 5, batchSize: 6, timeoutSeconds: 7.5, tlsCa: tls_ca, tlsServername: "mx.example.com" },
    onAmbiguous: "fail",
  });
});

test("account: null is absent, 0 or less is no limit or the default", () => {
  const names = ["port", "ttl", "limit_per_minute", "limit_per_hour", "limit_per_day", "limit_recipients_per_day"];
  const more = ["max_connections", "batch_size", "timeout"];
  const all = (value: unknown) => Object.fromEntries([...names, ...more].map((name) => [name, value]));
  for (const value of [null, 0, -1]) assert.deepEqual(account(all(value)), account({}));
  const texts = ["user", "use_tls", "security", "limit_behavior", "tls_ca", "tls_servername", "on_ambiguous", "auth"];
  assert.deepEqual(account(Object.fromEntries(texts.map((name) => [name, null]))), account({}));
});

test("account: an absent password is to be kept, an empty one removed", () => {
  const parsed = (fields: object) => {
    const answer = parseAccount({ id: "acc", host: "h", ...fields });
    return answer.ok && [answer.account.password, answer.keepPassword];
  };
  assert.deepEqual(parsed({}), [null, true]);
  assert.deepEqual(parsed({ password: null }), [null, true]);
  assert.deepEqual(parsed({ password: "" }), [null, false]);
  assert.deepEqual(parsed({ password: "x" }), ["x", false]);
});

type Given = Parameters<typeof deriveSecurity>[0];
const DERIVED: [given: Partial<Given>, security: string, port: number][] = [
  [{}, "opportunistic", 587],
  [{ port: 25 }, "opportunistic", 25],
  [{ port: 465 }, "tls", 465],
  [{ useTls: false }, "opportunistic", 587],
  [{ useTls: false, port: 465 }, "tls", 465],
  [{ useTls: true }, "starttls", 587],
  [{ useTls: true, port: 465 }, "tls", 465],
  [{ useTls: true, port: 2525 }, "starttls", 2525],
  [{ security: "tls" }, "tls", 465],
  [{ security: "tls", port: 2525, useTls: false }, "tls", 2525],
  [{ security: "starttls" }, "starttls", 587],
  [{ security: "starttls", port: 465 }, "starttls", 465],
  [{ security: "none", useTls: true }, "none", 587],
  [{ security: "opportunistic", port: 465 }, "opportunistic", 465],
];

test("account: security and port follow from what is given", () => {
  for (const [given, security, port] of DERIVED) {
    assert.deepEqual(
      deriveSecurity({ security: null, useTls: null, port: null, ...given }),
      { security, port },
      JSON.stringify(given),
    );
  }
});

const REFUSED: [fields: object, type: string, field: string][] = [
  [{ id: undefined }, "missing", "id"],
  [{ host: null }, "missing", "host"],
  [{ id: "" }, "value_error", "id"],
  [{ id: "x".repeat(256) }, "value_error", "id"],
  [{ id: "default" }, "value_error", "id"],
  [{ id: 7 }, "string_type", "id"],
  [{ host: "" }, "value_error", "host"],
  [{ host: "a b" }, "value_error", "host"],
  [{ host: "a\r\nb" }, "value_error", "host"],
  [{ host: "http://a/" }, "value_error", "host"],
  [{ port: "587" }, "float_type", "port"],
  [{ port: 65536 }, "value_error", "port"],
  [{ port: 2.5 }, "value_error", "port"],
  [{ use_tls: "yes" }, "bool_type", "use_tls"],
  [{ security: "ssl" }, "literal_error", "security"],
  [{ limit_behavior: "drop" }, "literal_error", "limit_behavior"],
  [{ limit_per_day: 1.5 }, "value_error", "limit_per_day"],
  [{ user: "a\0b" }, "value_error", "user"],
  [{ password: "a\nb" }, "value_error", "password"],
  [{ tls_ca: "/etc/ca.pem" }, "value_error", "tls_ca"],
  [{ tls_servername: "a b" }, "value_error", "tls_servername"],
];

test("account: what is wrong is named by field and type", () => {
  for (const [fields, type, field] of REFUSED) {
    const parsed = parseAccount({ id: "acc", host: "h", ...fields });
    assert.ok(!parsed.ok, JSON.stringify(fields));
    assert.deepEqual(
      parsed.issues.map((issue) => [issue.type, issue.loc]),
      [[type, [field]]],
    );
    assert.ok(!JSON.stringify(parsed.issues).includes("a\\nb"), "a password is never shown");
  }
});

test("account: all faults at once", () => {
  const parsed = parseAccount({ port: "x", ttl: true });
  assert.ok(!parsed.ok);
  assert.deepEqual(
    parsed.issues.map(({ loc }) => loc[0]),
    ["id", "host", "port", "ttl"],
  );
});

test("account: unknown fields and the reserved one are warnings", () => {
  const parsed = parseAccount({ id: "acc", host: "h", usetls: true, auth: { type: "oauth2" } });
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.warnings, [
    'unknown field "usetls", did you mean "use_tls"?',
    "auth is reserved for OAuth2 and ignored",
  ]);
});

test("account: the configuration's own, or none without a host", () => {
  const smtp = { host: "h", port: null, user: "u", password: "p", useTls: true, security: null };
  assert.deepEqual(defaultAccount(smtp), {
    ...account({ user: "u", password: "p", use_tls: true, host: "h" }),
    id: "default",
  });
  assert.equal(defaultAccount({ ...smtp, host: null }), null);
});
