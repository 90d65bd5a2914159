import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { homedir } from "node:os";
import { resolve } from "node:path";
import * as v from "valibot";
import { KEY_WANTED, readKeys, textOf } from "./encryption-key.ts";

/** How the text of a setting becomes its value. `folder` is what its relative paths are relative to. */
export type Kind<T> = { wanted: string; schema(folder: string): v.GenericSchema<string, T> };

function kind<T>(wanted: string, schema: v.GenericSchema<string, T>): Kind<T> {
  return { wanted, schema: () => schema };
}

export const text = kind("a text", v.string());

/** Travels in an HTTP header, where nothing else is safe. */
export const token = kind("visible ASCII without spaces", v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/)));

export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Kind<number> {
  const schema = v.pipe(v.string(), v.regex(/^-?\d+$/), v.transform(Number), v.minValue(min), v.maxValue(max));
  return kind(`a whole number ${range(min, max)}`, schema);
}

/** May have decimals. The longest is what a timer can wait. */
export function seconds(min: number, max = 2_147_483): Kind<number> {
  return kind(`a number of seconds ${range(min, max)}`, secondsSchema(min, max));
}

export const secondsOrNever = kind("a number of seconds, 0 or less for never", secondsSchema(-1e15, 1e15));

export function secondsList(min: number, max: number): Kind<number[]> {
  const schema = v.pipe(v.string(), v.transform(splitList), v.array(secondsSchema(min, max)), v.minLength(1));
  return kind(`numbers of seconds separated by commas, each ${range(min, max)}`, schema);
}

function secondsSchema(min: number, max: number) {
  return v.pipe(v.string(), v.regex(/^-?(\d+(\.\d*)?|\.\d+)$/), v.transform(Number), v.minValue(min), v.maxValue(max));
}

function range(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
}

/** One of the words, in any case; the other words are spellings of the same values. */
export function oneOf<const T>(words: Record<string, T>, spellings: Record<string, T> = {}): Kind<T> {
  const values = new Map(Object.entries({ ...words, ...spellings }));
  const schema = v.pipe(
    v.string(),
    v.toLowerCase(),
    v.check((word) => values.has(word)),
    v.transform((word) => values.get(word) as T),
  );
  return kind(
    Object.keys(words)
      .join(", ")
      .replace(/, ([^,]*)$/, " or $1"),
    schema,
  );
}

export const flag = oneOf(
  { true: true, false: false },
  { yes: true, on: true, 1: true, no: false, off: false, 0: false },
);

const hostPattern =
  /^(?=.{1,253}$)[\p{L}\p{N}_]([\p{L}\p{N}_-]*[\p{L}\p{N}_])?(\.[\p{L}\p{N}_]([\p{L}\p{N}_-]*[\p{L}\p{N}_])?)*\.?$/u;

function isHost(host: string): boolean {
  if (/^[\d.]+$/.test(host)) return isIP(host) === 4;
  return isIP(host) !== 0 || hostPattern.test(host);
}

export const host = kind("a host name or an IP address, without port", v.pipe(v.string(), v.check(isHost)));

export const ehloName = kind(
  "a host name with a dot, or an address in brackets",
  v.pipe(
    v.string(),
    v.check(
      (name) => (isHost(name) && name.includes(".") && isIP(name) === 0) || /^\[(IPv6:)?[\da-f.:]+\]$/i.test(name),
    ),
  ),
);

/** Hosts or networks, as in `relay.lan, 10.0.0.0/8`. */
export const hosts = kind(
  "host names, IP addresses or networks such as 10.0.0.0/8, separated by commas",
  v.pipe(v.string(), v.transform(splitList), v.array(v.pipe(v.string(), v.check(isHostOrNetwork)))),
);

function isHostOrNetwork(entry: string): boolean {
  const [address = "", bits, ...rest] = entry.split("/");
  if (bits === undefined) return isHost(entry);
  const family = isIP(address);
  return rest.length === 0 && family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

export const buckets = kind(
  "names as bucket or bucket/prefix, separated by commas",
  v.pipe(
    v.string(),
    v.transform(splitList),
    v.array(v.pipe(v.string(), v.regex(/^[A-Za-z0-9][\w.-]{1,253}[A-Za-z0-9](\/[^\x00-\x1f\x7f]*)?$/))),
  ),
);

function splitList(list: string): string[] {
  return list
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

/** Credentials have settings of their own: in a URL they would stand in logs. */
export const url = kind(
  "an http or https URL without user and password in it",
  v.pipe(
    v.string(),
    v.check((text) => {
      const parsed = URL.parse(text);
      return parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.username === "" && parsed.password === "";
    }),
  ),
);

/** Three processes meet in the file, so that it must be one. */
export const databasePath: Kind<string> = {
  wanted: "the path of a file",
  schema: (folder) =>
    v.pipe(
      v.string(),
      v.check((text) => !/^(:memory:|file:)/.test(text) && !text.endsWith("/")),
      v.transform((text) => resolvePath(folder, text)),
    ),
};

/** A path in the configuration, the certificates themselves in its value. */
export const certificates: Kind<string> = {
  wanted: "the path of a readable PEM file with certificates",
  schema: (folder) =>
    v.pipe(
      v.string(),
      v.transform((text) => readOrNull(resolvePath(folder, text)) ?? ""),
      v.includes("-----BEGIN CERTIFICATE-----"),
    ),
};

export function resolvePath(folder: string, text: string): string {
  return text.startsWith("~/") ? resolve(homedir(), text.slice(2)) : resolve(folder, text);
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

export const timezone = kind(
  "a time zone such as Europe/Rome or UTC",
  v.pipe(
    v.string(),
    v.check((zone) => {
      try {
        return new Intl.DateTimeFormat("en", { timeZone: zone }) !== null;
      } catch {
        return false;
      }
    }),
  ),
);

/** What the objects must hold is the domain's to say. */
export const objects = kind(
  "a JSON list of objects",
  v.pipe(v.string(), v.parseJson(), v.array(v.record(v.string(), v.unknown()))),
);

/** Rows before those of the domain's table; at least one of the three conditions. */
export const replyMeanings = kind(
  'a JSON list of {"code": 400 to 599, "enhanced": "5.7.1", "text": "contained, in any case", "meaning": message, recipient, account, throttle or unknown}, each with at least one of the first three',
  v.pipe(
    v.string(),
    v.parseJson(),
    v.array(
      v.pipe(
        v.strictObject({
          code: v.optional(v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(599))),
          enhanced: v.optional(v.pipe(v.string(), v.regex(/^[45]\.\d{1,3}\.(\d{1,3})?$/))),
          text: v.optional(v.pipe(v.string(), v.nonEmpty())),
          meaning: v.picklist(["message", "recipient", "account", "throttle", "unknown"]),
        }),
        v.check(({ code, enhanced, text }) => [code, enhanced, text].some((condition) => condition !== undefined)),
        // A reply of one class with an enhanced code of the other contradicts itself, and is not believed.
        v.check(({ code, enhanced }) => !code || !enhanced || String(code)[0] === enhanced[0]),
      ),
    ),
  ),
);

/** Standard Webhooks; two while one replaces the other. */
export const signingSecrets = kind(
  "whsec_ and base64, or two of them separated by a comma",
  v.pipe(v.string(), v.regex(/^whsec_[A-Za-z0-9+/]+=*(\s*,\s*whsec_[A-Za-z0-9+/]+=*)?$/)),
);

/** In one form, the one to encrypt with first. */
export const encryptionKeys = kind(
  `${KEY_WANTED}; while it is being replaced, the new one and the old one, separated by a comma`,
  v.pipe(
    v.string(),
    v.transform(readKeys),
    v.minLength(1),
    v.everyItem((key) => key !== null),
    // The same again would be a rotation in name only.
    v.check((keys) => new Set(keys.map((key) => key?.id)).size === keys.length),
    v.transform((keys) => keys.filter((key) => key !== null).map(textOf)),
  ),
);
