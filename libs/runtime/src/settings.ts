import {
  buckets,
  certificates,
  databasePath,
  ehloName,
  encryptionKeys,
  flag,
  host,
  hosts,
  integer,
  type Kind,
  objects,
  oneOf,
  replyMeanings,
  seconds,
  secondsList,
  secondsOrNever,
  signingSecrets,
  text,
  timezone,
  token,
  url,
} from "./setting-kinds.ts";

/** One row of the configuration: parsing, environment, secrets, the README's table and config.ini.example follow from it. */
export type Setting<T> = {
  kind: Kind<unknown>;
  /** As it would be written; null: none. */
  default: string | null;
  /** One sentence, for the table and the example. */
  about: string;
  /** Environment variables, the first wins. */
  env: string[];
  /** Other places in the file, as `section.key`, that mean the same. */
  synonyms: string[];
  /** Masked wherever it is shown, and also read from the file that `<env>_FILE` names. */
  secret: boolean;
  /** Without a value of its own it takes that of this `section.key`. */
  sameAs: string | null;
  /** What the table says for the default, where the default itself does not say it. */
  defaultShown: string | null;
  /** Only for the compiler: what the parsed value is. */
  readonly value?: T;
};

type More = Partial<Pick<Setting<unknown>, "env" | "synonyms" | "secret" | "sameAs" | "defaultShown">>;

function setting<T>(kind: Kind<T>, fallback: string, about: string, more?: More): Setting<T>;
function setting<T>(kind: Kind<T>, fallback: null, about: string, more?: More): Setting<T | null>;
function setting<T>(kind: Kind<T>, fallback: string | null, about: string, more: More = {}): Setting<T | null> {
  const rest = { env: [], synonyms: [], secret: false, sameAs: null, defaultShown: null };
  return { kind, default: fallback, about, ...rest, ...more };
}

const port = integer(0, 65535);
const bytes = integer(1);
const priority = oneOf({ 0: 0, 1: 1, 2: 2, 3: 3 }, { immediate: 0, high: 1, medium: 2, low: 3 });
const security = oneOf({ tls: "tls", starttls: "starttls", opportunistic: "opportunistic", none: "none" });
const level = oneOf(
  { trace: "trace", debug: "debug", info: "info", warn: "warn", error: "error", fatal: "fatal" },
  { warning: "warn", critical: "fatal" },
);

/** Every key there is: section, key (snake_case outside), and what it takes. */
export const settings = {
  storage: {
    dbPath: setting(
      databasePath,
      "./data/mail_service.db",
      "The SQLite file that the processes share; its folder is made; a network file system is refused.",
      { env: ["DB_PATH"] },
    ),
    synchronous: setting(
      oneOf({ full: "full", normal: "normal" }),
      "full",
      "With `normal`, an answer of 200 survives a crash of the process but not a power cut.",
    ),
    encryptionKey: setting(
      encryptionKeys,
      null,
      "Encrypts the secrets in the database: 32 bytes in base64 (`openssl rand -base64 32`) or hex; two, the new one first, while one replaces the other. Without one, it is made and kept in a file beside the database, which a backup of the database needs too.",
      { env: ["ENCRYPTION_KEY"], secret: true, defaultShown: "made at first start" },
    ),
  },
  server: {
    host: setting(host, "0.0.0.0", "Where the API listens.", { env: ["HOST"] }),
    port: setting(port, "8000", "The API's port; 0: any free one.", { env: ["PORT"] }),
    apiToken: setting(
      token,
      null,
      "What clients send as `X-API-Token` or as bearer; without one, it is made at the first start and kept in a file beside the database.",
      { env: ["API_TOKEN"], secret: true, defaultShown: "made at first start" },
    ),
    allowAnonymous: setting(flag, "false", "`true`: no token is asked for.", { env: ["ALLOW_ANONYMOUS"] }),
    maxBodyBytes: setting(bytes, "67108864", "The largest request; more is answered with 413."),
    maxBytesInFlight: setting(bytes, "268435456", "All requests being read together; more are answered with 503."),
  },
  metrics: {
    host: setting(
      host,
      "0.0.0.0",
      "Where dispatcher and reporter listen for metrics and health; with no token given, on loopback only.",
      { env: ["METRICS_HOST"], sameAs: "server.host", defaultShown: "as server.host" },
    ),
    port: setting(port, null, "The first port tried by dispatcher and reporter, then the nine after it, then any.", {
      env: ["METRICS_PORT"],
      defaultShown: "9110 (dispatcher), 9120 (reporter)",
    }),
    token: setting(token, null, "Opens `/metrics` of all processes and nothing else; the API token opens it too.", {
      env: ["METRICS_TOKEN"],
      secret: true,
    }),
  },
  smtp: {
    host: setting(
      host,
      null,
      "The server of the account `default`, used by messages without `account_id`; may be left out when `user` is a mailbox at a well-known provider.",
      { env: ["SMTP_HOST"] },
    ),
    port: setting(integer(1, 65535), null, "Its port.", {
      env: ["SMTP_PORT"],
      defaultShown: "465 for `tls`, else 587",
    }),
    user: setting(text, null, "Its login.", { env: ["SMTP_USER"] }),
    password: setting(text, null, "Its password.", { env: ["SMTP_PASSWORD"], secret: true }),
    useTls: setting(flag, null, "`true`: `tls` on port 465, else `starttls`; `security` says it more exactly.", {
      env: ["SMTP_USE_TLS"],
    }),
    security: setting(
      security,
      null,
      "`tls` (from the first byte), `starttls` (required), `opportunistic` or `none`.",
      { env: ["SMTP_SECURITY"], defaultShown: "from `use_tls` and `port`" },
    ),
    ehloName: setting(ehloName, null, "The name by which we greet servers.", {
      env: ["SMTP_EHLO_NAME"],
      defaultShown: "the FQDN",
    }),
    tlsCa: setting(certificates, null, "A PEM file with the certificates of a private CA.", {
      defaultShown: "the system's",
    }),
    plainAuthHosts: setting(hosts, "", "Hosts or networks where a password may cross unencrypted."),
    tenantHosts: setting(
      hosts,
      "",
      "Hosts or networks that accounts of tenants other than `default` may use; with none, any but link-local and metadata addresses and this service's own ports.",
    ),
  },
  sync: {
    proxySyncUrl: setting(url, null, "Where delivery reports go; without it nothing is reported.", {
      env: ["PROXY_SYNC_URL", "CLIENT_SYNC_URL", "FETCH_URL"],
      synonyms: ["client.client_sync_url", "fetch.url"],
    }),
    proxySyncUser: setting(text, null, "HTTP basic auth, sent with the first request.", {
      env: ["PROXY_SYNC_USER", "CLIENT_SYNC_USER"],
      synonyms: ["client.client_sync_user"],
    }),
    proxySyncPassword: setting(text, null, "Its password.", {
      env: ["PROXY_SYNC_PASSWORD", "CLIENT_SYNC_PASSWORD"],
      synonyms: ["client.client_sync_password"],
      secret: true,
    }),
    proxySyncToken: setting(token, null, "Sent as bearer; wins over user and password.", {
      env: ["PROXY_SYNC_TOKEN", "CLIENT_SYNC_TOKEN"],
      synonyms: ["client.client_sync_token"],
      secret: true,
    }),
    proxySyncBatchSize: setting(integer(1, 100_000), "1000", "Reports in one POST."),
    proxySyncIntervalSeconds: setting(
      seconds(0.1),
      "300",
      "How often the client is polled when there is nothing to report.",
    ),
    proxySyncTimeoutSeconds: setting(
      seconds(0.1),
      "120",
      "How long one call may take; the client may call add-messages from inside it.",
    ),
    acknowledge: setting(
      oneOf({ body: "body", status: "status" }),
      "body",
      "`status`: any 2xx acknowledges, for clients that answer with anything.",
    ),
    reportMaxAgeSeconds: setting(
      seconds(0, 1e9),
      "0",
      "After this a report that nobody takes is given up: counted, logged, purged; 0: never.",
    ),
    signingSecret: setting(
      signingSecrets,
      null,
      "Signs reports by Standard Webhooks (`whsec_…`); two, separated by a comma, while one replaces the other.",
      { env: ["SYNC_SIGNING_SECRET"], secret: true },
    ),
  },
  delivery: {
    sendIntervalSeconds: setting(
      seconds(0.01, 3600),
      "0.5",
      "The longest an idle dispatcher goes without looking; it normally wakes at once.",
      { env: ["SEND_LOOP_INTERVAL"] },
    ),
    defaultPriority: setting(priority, "2", "Of messages that name none: 0 immediate, 1 high, 2 medium, 3 low.", {
      env: ["DEFAULT_PRIORITY"],
    }),
    deliveryReportRetentionSeconds: setting(
      secondsOrNever,
      "604800",
      "How long reported messages stay; 0 or less: for ever.",
      { env: ["DELIVERY_REPORT_RETENTION_SECONDS"] },
    ),
    maxConnectionsPerAccount: setting(
      integer(1, 1000),
      "5",
      "SMTP connections to one account, over all dispatchers together; an account may set its own.",
    ),
    maxConnections: setting(
      integer(1, 10_000),
      "100",
      "SMTP connections of one dispatcher; no account holds more than half of what is left while others wait.",
    ),
    maxBytesInFlight: setting(bytes, "268435456", "Messages in the memory of one dispatcher."),
    retryDelaysSeconds: setting(
      secondsList(0.1, 2_147_483),
      "60,300,900,3600,7200",
      "The waits between attempts; the last repeats.",
    ),
    maxAgeSeconds: setting(
      seconds(1, 1e9),
      "172800",
      "A message tried, or held by a fault of its account, and not sent this long after it first could be becomes an error.",
    ),
    leaseSeconds: setting(seconds(2, 3600), "30", "A process not seen alive for so long loses its claims."),
    onAmbiguous: setting(
      oneOf({ retry: "retry", fail: "fail" }),
      "retry",
      "What follows when the reply to DATA never came: send again, or give up. One whose dispatcher died is sent again in any case.",
    ),
    dataReplyTimeoutSeconds: setting(
      seconds(1, 86_400),
      "600",
      "How long the answer to a message's last byte is waited for; RFC 5321 wants 10 minutes, less makes duplicates.",
    ),
    replyMeanings: setting(
      replyMeanings,
      "[]",
      'What your server\'s refusals mean, before what is known: a JSON list such as `[{"code": 550, "enhanced": "5.7.1", "text": "daily limit", "meaning": "account"}]`.',
      { defaultShown: "none" },
    ),
    stalledAfterSeconds: setting(
      seconds(1, 86_400),
      "60",
      "When mail that could go out has seen no attempt for so long, it is logged and counted as stalled.",
    ),
    shutdownGraceSeconds: setting(
      seconds(0.1, 3600),
      "30",
      "How long a stopping process may take to finish what is in flight.",
    ),
  },
  attachments: {
    timeoutSeconds: setting(
      seconds(0.1, 3600),
      "30",
      "Total time for fetching one attachment, redirects and all; one may wait as long for its turn before.",
    ),
    maxBytes: setting(bytes, "26214400", "The largest attachment."),
    maxMessageBytes: setting(bytes, "36700160", "The largest composed message."),
    allowHosts: setting(hosts, "", "Hosts or networks that URL attachments may reach although private.", {
      env: ["ATTACHMENTS_ALLOW_HOSTS"],
    }),
    cacheSeconds: setting(
      seconds(0, 1e9),
      "10800",
      "How long after its last use a fetched attachment is kept beside the database, for retries and for other messages.",
    ),
    cacheMaxBytes: setting(
      bytes,
      "1073741824",
      "All fetched attachments that are kept; a tenth more, and what is just being fetched, may stand there for a moment.",
    ),
  },
  s3: {
    endpoint: setting(url, null, "Of an S3 that is not Amazon's.", {
      env: ["AWS_ENDPOINT_URL_S3"],
      defaultShown: "the SDK's chain",
    }),
    region: setting(text, null, "Its region; `us-east-1` where only an endpoint is given.", {
      env: ["AWS_REGION"],
      defaultShown: "the SDK's chain",
    }),
    accessKeyId: setting(text, null, "Its access key.", {
      env: ["AWS_ACCESS_KEY_ID"],
      secret: true,
      defaultShown: "the SDK's chain",
    }),
    secretAccessKey: setting(text, null, "Its secret key.", {
      env: ["AWS_SECRET_ACCESS_KEY"],
      secret: true,
      defaultShown: "the SDK's chain",
    }),
    sessionToken: setting(text, null, "Belongs to a temporary access key.", {
      env: ["AWS_SESSION_TOKEN"],
      secret: true,
      defaultShown: "the SDK's chain",
    }),
    forcePathStyle: setting(
      flag,
      null,
      "`true`: the bucket stands in the path, as MinIO, Ceph, R2 and most others take it; `false`: in the host's name.",
      { defaultShown: "`true` with an `endpoint`, else `false`" },
    ),
    allow: setting(
      buckets,
      "",
      "`bucket` or `bucket/prefix` that attachments may name; with none, all that the credentials reach.",
    ),
  },
  scheduler: {
    active: setting(flag, "true", "The first start's switch; afterwards suspend and activate own it.", {
      env: ["SCHEDULER_ACTIVE"],
    }),
    timezone: setting(timezone, "UTC", "In which the hours of the rules are read.", { env: ["TIMEZONE"] }),
    rules: setting(objects, "[]", "Polling rules as a JSON list; only seeds an empty table.", {
      env: ["SCHEDULER_RULES"],
      defaultShown: "none",
    }),
  },
  logging: {
    level: setting(level, "info", "How much is logged, as JSON lines on standard output.", { env: ["LOG_LEVEL"] }),
  },
};

/** Keys of the service that this one replaces, without a meaning here: accepted with a warning. `*`: the whole section. */
export const retiredKeys: Record<string, string> = {
  "delivery.test_mode": "suspend and run-now do what it was for",
  "delivery.batch_size_per_account": "accounts have a batch_size of their own",
  "logging.delivery_activity": "deliveries are always logged, debug shows more",
  "server.sync_token": "sync.proxy_sync_token is what goes to the client",
  "imap.*": "mail is not received",
  "bounce_detection.*": "mail is not received",
};

/** Every row with its names as they stand in the file. */
export function settingRows(): {
  name: string;
  section: string;
  key: string;
  property: string;
  setting: Setting<unknown>;
}[] {
  return Object.entries(settings).flatMap(([section, keys]) =>
    Object.entries(keys as Record<string, Setting<unknown>>).map(([property, setting]) => {
      const key = property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      return { name: `${section}.${key}`, section, key, property, setting };
    }),
  );
}

/** Every variable that the configuration reads; with `sections`, for these alone. */
export function environmentNames(sections: readonly string[] = Object.keys(settings)): string[] {
  const ofSetting = ({ env, secret }: Setting<unknown>) =>
    secret ? env.flatMap((name) => [name, `${name}_FILE`]) : env;
  const rows = settingRows().filter(({ section }) => sections.includes(section));
  return ["ASYNC_MAIL_CONFIG", ...rows.flatMap(({ setting }) => ofSetting(setting))];
}
