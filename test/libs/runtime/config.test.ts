import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { type Config, loadConfig } from "@async-mail/runtime/config";
import { ConfigError } from "@async-mail/runtime/config-fault";
import { checkText } from "@async-mail/runtime/config-text";
import { ROOT } from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** Loads a config.ini of that text from a folder of its own. */
function load(text: string | null, env: Record<string, string> = {}, argv: string[] = []) {
  const cwd = temporaryFolder();
  if (text !== null) writeFileSync(join(cwd, "config.ini"), text);
  return { cwd, ...loadConfig({ argv, env, cwd }) };
}

function faultsOf(text: string | null, env: Record<string, string> = {}, argv: string[] = []): string[] {
  try {
    load(text, env, argv);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split("\n");
  }
  return [];
}

test("without file and environment everything has its default", () => {
  const { config, warnings, cwd } = load(null);
  assert.deepEqual(warnings, []);
  assert.equal(config.storage.dbPath, join(cwd, "data/mail_service.db"));
  assert.equal(config.server.port, 8000);
  assert.equal(config.server.apiToken, null);
  assert.equal(config.server.allowAnonymous, false);
  assert.equal(config.metrics.host, "0.0.0.0");
  assert.equal(config.metrics.port, null);
  assert.equal(config.smtp.host, null);
  assert.deepEqual(config.smtp.plainAuthHosts, []);
  assert.deepEqual(config.smtp.tenantHosts, []);
  assert.equal(config.storage.encryptionKey, null);
  assert.equal(config.sync.acknowledge, "body");
  assert.equal(config.delivery.sendIntervalSeconds, 0.5);
  assert.deepEqual(config.delivery.retryDelaysSeconds, [60, 300, 900, 3600, 7200]);
  assert.equal(config.delivery.shutdownGraceSeconds, 30);
  assert.deepEqual(config.scheduler, { active: true, timezone: "UTC", rules: [] });
  assert.equal(config.logging.level, "info");
  assert.equal(config.sandbox, false);
});

test("the configuration cannot be changed, at any depth", () => {
  type Writable = { server: { port: number }; delivery: { retryDelaysSeconds: number[] } };
  const config = load(null).config as unknown as Writable;
  assert.throws(() => {
    config.server.port = 1;
  }, TypeError);
  assert.throws(() => config.delivery.retryDelaysSeconds.push(1), TypeError);
});

test("the environment wins over the file, and an empty variable is none", () => {
  const ini = "[server]\nport = 9000\nhost = 127.0.0.1\n";
  const { config } = load(ini, { PORT: "9001", HOST: "" });
  assert.equal(config.server.port, 9001);
  assert.equal(config.server.host, "127.0.0.1");
  assert.equal(config.metrics.host, "127.0.0.1", "metrics.host is server.host's where not given");
});

test("an empty value in the file is none", () => {
  const { config } = load("[server]\napi_token =\nport = \n[smtp]\nhost =\nuser =\n");
  assert.equal(config.server.apiToken, null);
  assert.equal(config.server.port, 8000);
});

test("every setting of the environment is read", () => {
  const { config } = load(null, {
    DB_PATH: "/srv/mail.db",
    ENCRYPTION_KEY: "AB".repeat(32),
    API_TOKEN: "t1",
    ALLOW_ANONYMOUS: "yes",
    METRICS_HOST: "::1",
    METRICS_PORT: "0",
    METRICS_TOKEN: "t2",
    SMTP_HOST: "smtp.example.com",
    SMTP_PORT: "2525",
    SMTP_USER: "u",
    SMTP_PASSWORD: " p#;w ",
    SMTP_USE_TLS: "False",
    SMTP_SECURITY: "STARTTLS",
    SMTP_EHLO_NAME: "mx.example.com",
    SYNC_SIGNING_SECRET: "whsec_YWJj",
    SEND_LOOP_INTERVAL: "1.5",
    DEFAULT_PRIORITY: "high",
    DELIVERY_REPORT_RETENTION_SECONDS: "-1",
    AWS_REGION: "eu-south-1",
    SCHEDULER_ACTIVE: "0",
    TIMEZONE: "Europe/Rome",
    SCHEDULER_RULES: '[{"name":"night"}]',
    LOG_LEVEL: "WARNING",
    ASYNC_MAIL_SANDBOX: "1",
  });
  assert.equal(config.storage.dbPath, "/srv/mail.db");
  assert.deepEqual(config.storage.encryptionKey, [Buffer.alloc(32, 0xab).toString("base64")]);
  assert.deepEqual({ ...config.metrics }, { host: "::1", port: 0, token: "t2" });
  assert.deepEqual(
    { ...config.smtp },
    {
      host: "smtp.example.com",
      port: 2525,
      user: "u",
      password: " p#;w ",
      useTls: false,
      security: "starttls",
      ehloName: "mx.example.com",
      tlsCa: null,
      plainAuthHosts: [],
      tenantHosts: [],
    },
  );
  assert.equal(config.sync.signingSecret, "whsec_YWJj");
  assert.equal(config.delivery.defaultPriority, 1);
  assert.equal(config.delivery.deliveryReportRetentionSeconds, -1);
  assert.deepEqual(config.scheduler, { active: false, timezone: "Europe/Rome", rules: [{ name: "night" }] });
  assert.equal(config.logging.level, "warn");
  assert.equal(config.sandbox, true);
});

test("synonyms in environment and file mean the same setting", () => {
  for (const name of ["PROXY_SYNC_URL", "CLIENT_SYNC_URL", "FETCH_URL"]) {
    assert.equal(load(null, { [name]: "http://client/x" }).config.sync.proxySyncUrl, "http://client/x", name);
  }
  const client =
    "[client]\nclient_sync_url = http://c/\nclient_sync_user = u\nclient_sync_password = p\nclient_sync_token = t\n";
  const { sync } = load(client).config;
  assert.deepEqual(
    [sync.proxySyncUrl, sync.proxySyncUser, sync.proxySyncPassword, sync.proxySyncToken],
    ["http://c/", "u", "p", "t"],
  );
});

test("two names that disagree are a warning, and the proper one is used", () => {
  const { config, warnings } = load("[client]\nclient_sync_url = http://b/\n[sync]\nproxy_sync_url = http://a/\n");
  assert.equal(config.sync.proxySyncUrl, "http://a/");
  assert.match(warnings.join(), /sync\.proxy_sync_url is set twice: config\.ini line 2 is ignored, config\.ini line 4/);
  const both = load(null, { CLIENT_SYNC_URL: "http://b/", PROXY_SYNC_URL: "http://a/" });
  assert.equal(both.config.sync.proxySyncUrl, "http://a/");
  assert.match(both.warnings.join(), /CLIENT_SYNC_URL is ignored, PROXY_SYNC_URL is used/);
});

test("secrets come from files named by _FILE, without the line end", () => {
  const folder = temporaryFolder();
  const file = join(folder, "password");
  writeFileSync(file, "s3 cr#t\r\n");
  const { config } = load("[smtp]\nhost = h\nuser = u\n", { SMTP_PASSWORD_FILE: file });
  assert.equal(config.smtp.password, "s3 cr#t");
  writeFileSync(join(folder, "token"), "tok\n");
  assert.equal(load(null, { CLIENT_SYNC_TOKEN_FILE: join(folder, "token") }).config.sync.proxySyncToken, "tok");
});

/** The second byte gives it both characters that are otherwise in URLs. */
const KEY = Buffer.alloc(32, "\xfb\xff", "latin1");
const OLD_KEY = Buffer.alloc(32, 7);
const [KEY_64, OLD_KEY_64] = [KEY, OLD_KEY].map((key) => key.toString("base64")) as [string, string];

test("an encryption key may be written as base64, as in URLs, or as hex; it is passed on in one form", () => {
  assert.match(KEY_64, /[+/].*=$/);
  for (const text of [
    KEY_64,
    KEY_64.slice(0, -1),
    KEY.toString("base64url"),
    KEY.toString("hex"),
    KEY.toString("hex").toUpperCase(),
  ]) {
    assert.deepEqual(load(null, { ENCRYPTION_KEY: text }).config.storage.encryptionKey, [KEY_64], text);
    assert.deepEqual(load(`[storage]\nencryption_key = ${text}\n`).config.storage.encryptionKey, [KEY_64], text);
  }
});

test("two encryption keys are read, the new one first, from a file too, with lines and comments", () => {
  const file = join(temporaryFolder(), "keys");
  writeFileSync(file, `# new\n${KEY_64}\r\n# old, until it is replaced\n${OLD_KEY_64}\n\n`);
  const ways: Record<string, string>[] = [
    { ENCRYPTION_KEY: `${KEY_64},${OLD_KEY_64}` },
    { ENCRYPTION_KEY: ` ${KEY_64} ${OLD_KEY.toString("hex")} ` },
    { ENCRYPTION_KEY_FILE: file },
  ];
  for (const env of ways)
    assert.deepEqual(load(null, env).config.storage.encryptionKey, [KEY_64, OLD_KEY_64], JSON.stringify(env));
});

test("what is no encryption key is refused, not shown, and said how to make", () => {
  const long = Buffer.alloc(48, 9).toString("base64");
  for (const text of [
    "correct-horse-battery-staple",
    "a".repeat(32),
    KEY_64.slice(0, -4),
    KEY.toString("hex").slice(0, 62),
    `${KEY.toString("hex")}00`,
    long,
    // Cut off where its last bits are none of a key's.
    `${KEY_64.slice(0, 42)}t`,
    KEY_64.replace("+", "!"),
    `${KEY_64},${OLD_KEY_64.slice(4)}`,
    `${KEY_64},${KEY.toString("hex")}`,
    ",",
  ]) {
    const faults = faultsOf(null, { ENCRYPTION_KEY: text });
    assert.equal(faults.length, 1, text);
    assert.match(
      faults[0] ?? "",
      /^\[storage\] encryption_key = "\*+" \(ENCRYPTION_KEY\): wanted 32 random bytes .*openssl rand -base64 32/,
    );
  }
});

test("a _FILE that cannot be read, or stands beside its variable, is a fault", () => {
  assert.match(faultsOf(null, { API_TOKEN_FILE: "/nowhere/x" }).join(), /\(API_TOKEN_FILE\): wanted a file .*ENOENT/);
  const both = faultsOf(null, { API_TOKEN_FILE: "/nowhere/x", API_TOKEN: "t" }).join();
  assert.match(both, /wanted API_TOKEN or API_TOKEN_FILE, not both/);
});

test("relative paths are relative to the config file, those of the environment to the working directory", () => {
  const cwd = temporaryFolder();
  mkdirSync(join(cwd, "etc"));
  const env = { ASYNC_MAIL_CONFIG: "etc/mail.ini" };
  writeFileSync(join(cwd, "etc/mail.ini"), "[storage]\ndb_path = var/a.db\n");
  assert.equal(loadConfig({ argv: [], env, cwd }).config.storage.dbPath, join(cwd, "etc/var/a.db"));
  const fromEnv = loadConfig({ argv: [], env: { ...env, DB_PATH: "b.db" }, cwd });
  assert.equal(fromEnv.config.storage.dbPath, join(cwd, "b.db"));
  writeFileSync(join(cwd, "etc/mail.ini"), "");
  assert.equal(loadConfig({ argv: [], env, cwd }).config.storage.dbPath, join(cwd, "etc/data/mail_service.db"));
});

test("a config file that is named must be there", () => {
  const [fault] = faultsOf(null, { ASYNC_MAIL_CONFIG: "no.ini" });
  assert.match(fault!, /no\.ini" \(ASYNC_MAIL_CONFIG\): wanted a file that can be read \(ENOENT\)/);
});

test("a private CA is read from its file", () => {
  const pem = join(ROOT, "test/support/certificates/ca.pem");
  assert.match(load(`[smtp]\ntls_ca = ${pem}\n`).config.smtp.tlsCa!, /BEGIN CERTIFICATE/);
  assert.match(faultsOf("[smtp]\ntls_ca = nowhere.pem\n").join(), /tls_ca = "nowhere\.pem".*PEM/);
});

test("all faults are reported together, each with section, key, value and what is wanted", () => {
  const faults = faultsOf(
    `[storage]
db_path = :memory:
[server]
port = eight
[delivry]
lease_seconds = 30
[delivery]
lease_seconds = 1
max_conections = 5
retry_delays_seconds = 60,soon
[smtp]
user = someone
password = half # of it
`,
    { TIMEZONE: "Europe/Rom" },
    ["--chek"],
  );
  const wanted = [
    "--chek (command line): wanted --check, or nothing",
    '[smtp] password = "********" (config.ini line 13): wanted in quotes, since # and ; begin a comment',
    "[delivry] (config.ini line 5): wanted a section that exists; did you mean delivery?",
    '[delivery] max_conections = "5" (config.ini line 9): wanted a key that exists; did you mean max_connections?',
    '[storage] db_path = ":memory:" (config.ini line 2): wanted the path of a file',
    '[server] port = "eight" (config.ini line 4): wanted a whole number from 0 to 65535',
    '[delivery] retry_delays_seconds = "60,soon" (config.ini line 10): wanted numbers of seconds separated by commas, each from 0.1 to 2147483',
    '[delivery] lease_seconds = "1" (config.ini line 8): wanted a number of seconds from 2 to 3600',
    '[scheduler] timezone = "Europe/Rom" (TIMEZONE): wanted a time zone such as Europe/Rome or UTC',
  ];
  for (const line of wanted) assert.ok(faults.includes(line), `${line}\nis not among\n${faults.join("\n")}`);
  assert.match(faults.join("\n"), /\[smtp\] host: wanted the server's name/);
  assert.equal(faults.length, wanted.length + 1);
});

test("nothing is said to be missing that is only wrong", () => {
  const faults = faultsOf("[smtp]\nhost = relay.lan:25\nuser = u\n[server]\nmax_bytes_in_flight = few\n");
  assert.equal(faults.length, 2, faults.join("\n"));
});

test("a key of another section is recognised", () => {
  assert.match(faultsOf("[smtp]\ndb_path = x\n").join(), /did you mean \[storage\] db_path\?/);
});

test("a secret is not shown in a fault, even under a misspelt key", () => {
  const faults = faultsOf(
    "[smtp]\nhost = h\nuser = u\npasword = hunter2\n[server]\napi_token = hunter 2\npassword: hunter2\n",
  ).join("\n");
  assert.match(faults, /did you mean password/);
  assert.match(faults, /api_token = "\*+".*visible ASCII/);
  assert.doesNotMatch(faults, /hunter/);
});

test("keys of the old service are accepted with a warning", () => {
  const { warnings } = load(
    "[delivery]\ntest_mode = false\nbatch_size_per_account = 50\n[logging]\ndelivery_activity = true\n[imap]\nenabled = false\n",
  );
  assert.equal(warnings.length, 4);
  assert.match(warnings[0]!, /\[delivery\] test_mode \(config\.ini line 2\) has no meaning here/);
});

test("a key written twice is a fault", () => {
  assert.match(faultsOf("[server]\nport = 1\nhost = h\nport = 2\n").join(), /port = "1".*also on line 4/);
});

test("a user at a well-known provider needs no host; any other does", () => {
  const env = { SMTP_USER: "someone@GMail.com", SMTP_PASSWORD: "p" };
  const { config } = load(null, env);
  assert.deepEqual([config.smtp.host, config.smtp.port], ["smtp.gmail.com", 465]);
  assert.equal(load(null, { ...env, SMTP_PORT: "587" }).config.smtp.port, 587);
  assert.equal(load(null, { ...env, SMTP_HOST: "relay.lan" }).config.smtp.port, null, "its port is not the provider's");
  assert.match(
    faultsOf(null, { ...env, SMTP_USER: "someone@example.com" }).join(),
    /\[smtp\] host: wanted the server's/,
  );
});

test("what contradicts itself is a fault", () => {
  assert.match(faultsOf(null, { SMTP_HOST: "h", SMTP_PASSWORD: "p" }).join(), /\[smtp\] user: wanted a login/);
  assert.match(faultsOf(null, { AWS_ACCESS_KEY_ID: "k" }).join(), /\[s3\] secret_access_key: wanted/);
  assert.match(
    faultsOf("[server]\nmax_bytes_in_flight = 1000\nmax_body_bytes = 2000\n").join(),
    /max_bytes_in_flight = "1000": wanted at least max_body_bytes \(2000\)/,
  );
});

test("values that cannot be meant are refused", () => {
  const refused: [string, string][] = [
    ["sync.proxy_sync_url", "client/sync"],
    ["sync.proxy_sync_url", "ftp://client/"],
    ["sync.proxy_sync_url", "http://user:pw@client/"],
    ["smtp.host", "smtp.example.com:587"],
    ["smtp.host", "http://smtp.example.com"],
    ["smtp.host", "300.1.1.1"],
    ["smtp.ehlo_name", "localhost"],
    ["smtp.plain_auth_hosts", "10.0.0.0/33"],
    ["smtp.plain_auth_hosts", "relay.lan/8"],
    ["smtp.security", "ssl"],
    ["smtp.use_tls", "maybe"],
    ["delivery.default_priority", "4"],
    ["delivery.lease_seconds", "Infinity"],
    ["delivery.lease_seconds", "1e1"],
    ["delivery.retry_delays_seconds", ","],
    ["server.port", "65536"],
    ["server.port", "80.5"],
    ["scheduler.rules", "{}"],
    ["scheduler.rules", "[1]"],
    ["delivery.reply_meanings", '[{"meaning":"account"}]'],
    ["delivery.reply_meanings", '[{"code":450,"enhanced":"5.7.1","meaning":"account"}]'],
    ["delivery.reply_meanings", '[{"code":250,"meaning":"account"}]'],
    ["delivery.reply_meanings", '[{"code":550,"meaning":"mine"}]'],
    ["delivery.reply_meanings", '[{"code":550,"enhanced":"5.7","meaning":"account"}]'],
    ["delivery.reply_meanings", '[{"code":550,"words":"x","meaning":"account"}]'],
    ["sync.signing_secret", "secret"],
    ["s3.allow", "Bucket Name"],
  ];
  for (const [name, value] of refused) {
    const [section, key] = name.split(".");
    assert.equal(faultsOf(`[${section}]\n${key} = ${value}\n`).length, 1, `${name} = ${value}`);
  }
});

test("values that are meant are taken", () => {
  const { config } = load(`[smtp]
host = "2001:db8::1"
ehlo_name = [192.0.2.1]
plain_auth_hosts = relay.lan, 10.0.0.0/8 , fd00::/8
tenant_hosts = smtp.example.com, 192.0.2.0/24
[attachments]
allow_hosts = münchen.example
[s3]
allow = bucket, bucket/a/prefix
[scheduler]
rules = [{"name":"day","days":[0,1]}]
[delivery]
retry_delays_seconds = .5, 2
reply_meanings = [{"code":550,"enhanced":"5.7.1","text":"daily limit","meaning":"account"},{"text":"slow down","meaning":"throttle"}]
`);
  assert.equal(config.smtp.host, "2001:db8::1");
  assert.equal(config.smtp.ehloName, "[192.0.2.1]");
  assert.deepEqual(config.smtp.plainAuthHosts, ["relay.lan", "10.0.0.0/8", "fd00::/8"]);
  assert.deepEqual(config.smtp.tenantHosts, ["smtp.example.com", "192.0.2.0/24"]);
  assert.deepEqual(config.attachments.allowHosts, ["münchen.example"]);
  assert.deepEqual(config.s3.allow, ["bucket", "bucket/a/prefix"]);
  assert.deepEqual(config.scheduler.rules, [{ name: "day", days: [0, 1] }]);
  assert.deepEqual(config.delivery.retryDelaysSeconds, [0.5, 2]);
  assert.deepEqual(config.delivery.replyMeanings, [
    { code: 550, enhanced: "5.7.1", text: "daily limit", meaning: "account" },
    { text: "slow down", meaning: "throttle" },
  ]);
});

test("what is checked is printed with its origin, and no secret in it", () => {
  const loaded = load("[storage]\ndb_path = a.db\n[smtp]\nhost = h\nuser = u\npassword = 'hunter2#'\n", {
    API_TOKEN: "hunter2",
    ENCRYPTION_KEY: KEY_64,
    PORT: "9000",
  });
  const text = checkText(loaded);
  assert.match(text, /^encryption_key = \*{8} +; ENCRYPTION_KEY$/m);
  assert.equal(text.includes(KEY_64.slice(0, 8)), false);
  assert.match(text, new RegExp(`^db_path = ${loaded.cwd}/a\\.db +; config\\.ini line 2$`, "m"));
  assert.match(text, /^port = 9000 +; PORT$/m);
  assert.match(text, /^password = \*{8} +; config\.ini line 6$/m);
  assert.match(text, /^api_token = \*{8} +; API_TOKEN$/m);
  assert.match(text, /^lease_seconds = 30 +; default$/m);
  assert.doesNotMatch(text, /hunter/);
});

test("config.ini.example says the defaults", () => {
  const example = readFileSync(join(ROOT, "config.ini.example"), "utf8");
  const withoutPath = ({ config }: { config: Config }) => ({ ...config, storage: null });
  const loaded = load(example);
  assert.deepEqual(loaded.warnings, []);
  assert.deepEqual(withoutPath(loaded), withoutPath(load(null)));
});
