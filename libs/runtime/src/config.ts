import * as v from "valibot";
import { ConfigError, type ConfigFault, MASK } from "./config-fault.ts";
import { type Given, readSources, type Sources } from "./config-sources.ts";
import { checkText } from "./config-text.ts";
import { createLog, type ProcessKind } from "./log.ts";
import { providerOf } from "./providers.ts";
import { type Setting, settingRows, type settings } from "./settings.ts";

type Frozen<T> = T extends readonly (infer Entry)[] ? readonly Frozen<Entry>[] : T;
type Values<Section> = { readonly [Key in keyof Section]: Section[Key] extends Setting<infer T> ? Frozen<T> : never };

/** Everything an operator may set, parsed and deeply frozen; `settings.ts` is the table of it. */
export type Config = { readonly [Section in keyof typeof settings]: Values<(typeof settings)[Section]> } & {
  /** Set by `npm start` alone: mail is kept, not sent, and the database says so. */
  readonly sandbox: boolean;
};

/** One setting as it is in force, for people. */
export type EffectiveSetting = { section: string; key: string; shown: string; origin: string };

export type LoadedConfig = { config: Config; warnings: string[]; file: string | null; effective: EffectiveSetting[] };

export type ConfigInput = { argv: string[]; env: Record<string, string | undefined>; cwd: string };

/** The configuration file, the environment over it, and defaults. Throws a ConfigError that names every fault. */
export function loadConfig({ argv, env, cwd }: ConfigInput): LoadedConfig {
  const sources = readSources(env, cwd);
  takeProvider(sources);
  const { values, effective } = parseSettings(sources);
  const faults = [...argumentFaults(argv), ...sources.faults, ...contradictions(values, sources.faults)];
  if (faults.length > 0) throw new ConfigError(faults);
  const config = freeze({ ...values, sandbox: env.ASYNC_MAIL_SANDBOX === "1" });
  return { config, warnings: [...sources.warnings, ...doubts(config)], file: sources.file, effective };
}

/**
 * The configuration of this process, for the first line of every main.ts. Warnings are logged. With `--check` it is
 * printed instead; then, and when it has faults, the process ends here.
 */
export function startConfig(kind: ProcessKind): Config {
  const { config, warnings } = loadOrEnd(kind);
  const log = createLog({ level: config.logging.level, process: kind });
  for (const warning of warnings) log.warning(warning);
  return config;
}

function loadOrEnd(name: string): LoadedConfig {
  const argv = process.argv.slice(2);
  const loaded = loadOrExplain({ argv, env: process.env, cwd: process.cwd() }, name);
  if (loaded === null) return process.exit(1);
  if (!argv.includes("--check")) return loaded;
  process.stdout.write(checkText(loaded));
  return process.exit(0);
}

function loadOrExplain(input: ConfigInput, name: string): LoadedConfig | null {
  try {
    return loadConfig(input);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const count = error.faults.length === 1 ? "a fault" : `${error.faults.length} faults`;
    process.stderr.write(`${name}: the configuration has ${count}\n${error.message}\n`);
    return null;
  }
}

function argumentFaults(argv: string[]): ConfigFault[] {
  return argv
    .filter((argument) => argument !== "--check")
    .map((argument) => ({
      section: null,
      key: argument,
      value: null,
      origin: "command line",
      wanted: "--check, or nothing",
    }));
}

/** With no host but a mailbox at a provider, the provider's host is meant. */
function takeProvider({ given, folder }: Sources): void {
  const user = given.get("smtp.user");
  const provider = user && !given.has("smtp.host") ? providerOf(user.text) : null;
  if (provider === null) return;
  const origin = "the provider of smtp.user";
  given.set("smtp.host", { text: provider.host, origin, folder });
  if (!given.has("smtp.port")) given.set("smtp.port", { text: String(provider.port), origin, folder });
}

type Parsed = { values: Config; effective: EffectiveSetting[] };

/** Faults are added to the sources'. What could not be parsed is null. */
function parseSettings(sources: Sources): Parsed {
  const values: Record<string, Record<string, unknown>> = {};
  const effective: EffectiveSetting[] = [];
  for (const { name, section, key, property, setting } of settingRows()) {
    const found = findValue(name, setting, sources);
    const value = found === null ? null : parseValue(section, key, setting, found, sources.faults);
    values[section] = { ...values[section], [property]: value };
    effective.push({
      section,
      key,
      shown: shown(setting, found?.text ?? "", value),
      origin: found?.origin ?? "default",
    });
  }
  return { values: values as unknown as Config, effective };
}

function findValue(name: string, setting: Setting<unknown>, { given, folder }: Sources): Given | null {
  const own = given.get(name) ?? (setting.sameAs === null ? undefined : given.get(setting.sameAs));
  if (own !== undefined) return own;
  return setting.default === null ? null : { text: setting.default, origin: "default", folder };
}

function parseValue(
  section: string,
  key: string,
  setting: Setting<unknown>,
  found: Given,
  faults: ConfigFault[],
): unknown {
  const result = v.safeParse(setting.kind.schema(found.folder), found.text);
  if (result.success) return result.output;
  const value = setting.secret ? MASK : withoutPassword(found.text);
  faults.push({ section, key, value, origin: found.origin, wanted: setting.kind.wanted });
  return null;
}

/** A URL may hold one, where none is wanted. */
function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/\s]*@/, `//${MASK}@`);
}

/** As it was written, but with paths resolved. */
function shown(setting: Setting<unknown>, text: string, value: unknown): string {
  if (setting.secret && text !== "") return MASK;
  return typeof value === "string" && !value.includes("\n") ? value : text;
}

/** What is wrong only together. Nothing is said about a value that is already at fault. */
function contradictions({ smtp, server, s3, sync }: Config, before: ConfigFault[]): ConfigFault[] {
  const faulty = new Set(before.map(({ section, key }) => `${section}.${key}`));
  const found: ConfigFault[] = [];
  const fault = (section: string, key: string, together: string[], wanted: string, value: string | null = null) => {
    const sound = [key, ...together].every((name) => !faulty.has(`${section}.${name}`));
    if (sound) found.push({ section, key, value, origin: null, wanted });
  };
  if (smtp.host === null && (smtp.user !== null || smtp.password !== null)) {
    fault(
      "smtp",
      "host",
      [],
      "the server's name, since user or password is given, and user is no mailbox at a provider we know",
    );
  }
  if (smtp.user === null && smtp.password !== null) fault("smtp", "user", [], "a login, since password is given");
  if (server.maxBytesInFlight < server.maxBodyBytes) {
    const wanted = `at least max_body_bytes (${server.maxBodyBytes})`;
    fault("server", "max_bytes_in_flight", ["max_body_bytes"], wanted, String(server.maxBytesInFlight));
  }
  if (sync.proxySyncUser === null && sync.proxySyncPassword !== null) {
    fault("sync", "proxy_sync_user", [], "a login, since proxy_sync_password is given");
  }
  if (s3.accessKeyId === null && s3.secretAccessKey !== null) {
    fault("s3", "access_key_id", [], "the id of secret_access_key");
  }
  if (s3.accessKeyId !== null && s3.secretAccessKey === null) {
    fault("s3", "secret_access_key", [], "the secret of access_key_id");
  }
  return found;
}

/** What may be meant, and should be known. */
function doubts({ smtp, s3, server, sync }: Config): string[] {
  const warnings: string[] = [];
  if (smtp.host === null && (smtp.port !== null || smtp.security !== null || smtp.useTls !== null)) {
    warnings.push("smtp.port, use_tls or security is given, but no smtp.host: there is no default account");
  }
  if (s3.allow.length === 0 && (s3.accessKeyId !== null || s3.endpoint !== null)) {
    warnings.push("s3.allow is empty: attachments may name everything that the S3 credentials reach");
  }
  if (server.allowAnonymous) warnings.push("server.allow_anonymous is true: whoever reaches the port may send mail");
  if (sync.proxySyncUrl === null && (sync.proxySyncUser !== null || sync.proxySyncToken !== null)) {
    warnings.push("sync.proxy_sync_user or proxy_sync_token is given, but no proxy_sync_url: nothing is reported");
  }
  return warnings;
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const entry of Object.values(value)) freeze(entry);
    Object.freeze(value);
  }
  return value;
}
