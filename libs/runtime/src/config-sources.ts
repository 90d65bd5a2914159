import { readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { type ConfigFault, MASK, nearest } from "./config-fault.ts";
import { type IniEntry, readIni } from "./ini-file.ts";
import { resolvePath } from "./setting-kinds.ts";
import { retiredKeys, type Setting, settingRows } from "./settings.ts";

type Environment = Record<string, string | undefined>;

/** The text of a setting, and where it was found. Relative paths in it are relative to `folder`. */
export type Given = { text: string; origin: string; folder: string };

/** What was found, by `section.key`, before any of it is parsed. */
export type Sources = {
  file: string | null;
  /** Of defaults: the config file's, so that processes started in different folders still meet. */
  folder: string;
  given: Map<string, Given>;
  faults: ConfigFault[];
  warnings: string[];
};

/** Reads the file and the environment over it. An empty value is none. */
export function readSources(env: Environment, cwd: string): Sources {
  const file = resolve(cwd, env.ASYNC_MAIL_CONFIG || "config.ini");
  const sources: Sources = { file: null, folder: cwd, given: new Map(), faults: [], warnings: [] };
  const text = readConfigFile(file, Boolean(env.ASYNC_MAIL_CONFIG), sources);
  if (text !== null) {
    sources.file = file;
    sources.folder = dirname(file);
    takeFile(text, file, sources);
  }
  takeEnvironment(env, cwd, sources);
  return sources;
}

function readConfigFile(file: string, named: boolean, { faults }: Sources): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && !named) return null;
    const origin = named ? "ASYNC_MAIL_CONFIG" : null;
    faults.push({ section: null, key: null, value: file, origin, wanted: `a file that can be read (${code})` });
    return null;
  }
}

// ---------------------------------------------------------------- the file

function takeFile(text: string, file: string, sources: Sources): void {
  const where = (line: number) => `${basename(file)} line ${line}`;
  const { sections, entries, faults } = readIni(text);
  for (const { line, section, key, value, wanted } of faults) {
    sources.faults.push({ section, key, value: shownValue(section, key, value), origin: where(line), wanted });
  }
  for (const { name, line } of sections) {
    if (isSection(name)) continue;
    const wanted = `a section that exists${didYouMean(name, sectionNames())}`;
    sources.faults.push({ section: name, key: null, value: null, origin: where(line), wanted });
  }
  for (const [name, found] of groupByName(entries)) takeEntries(name, found, where, dirname(file), sources);
}

function groupByName(entries: IniEntry[]): Map<string, IniEntry[]> {
  return Map.groupBy(entries, ({ section, key }) => `${section}.${key}`);
}

/** The proper name of a setting comes before its synonyms, whatever their order in the file. */
function takeEntries(
  name: string,
  found: IniEntry[],
  where: (line: number) => string,
  folder: string,
  sources: Sources,
): void {
  const { section, key, value, line } = found[0]!;
  if (!isSection(section)) return;
  const retired = retiredKeys[name] ?? retiredKeys[`${section}.*`];
  if (retired !== undefined) {
    sources.warnings.push(`[${section}] ${key} (${where(line)}) has no meaning here: ${retired}`);
    return;
  }
  const target = rowsByName.get(name);
  const fault = (wanted: string) =>
    sources.faults.push({ section, key, value: shownValue(section, key, value), origin: where(line), wanted });
  if (target === undefined) fault(`a key that exists${didYouMeanKey(section, key)}`);
  else if (found.length > 1) fault(`once, but it is also on line ${found[1]!.line}`);
  else if (value !== "") offer(target, name, { text: value, origin: where(line), folder }, sources);
}

/** Keeps the first found of one setting's names; a later one that says something else is not dropped in silence. */
function offer(target: string, name: string, given: Given, { given: all, warnings }: Sources): void {
  const before = all.get(target);
  const proper = name === target;
  if (before !== undefined && before.text !== given.text) {
    const [used, ignored] = proper ? [given, before] : [before, given];
    warnings.push(`${target} is set twice: ${ignored.origin} is ignored, ${used.origin} is used`);
  }
  if (before === undefined || proper) all.set(target, given);
}

// ---------------------------------------------------------------- the environment

function takeEnvironment(env: Environment, cwd: string, sources: Sources): void {
  for (const row of settingRows()) {
    const found = row.setting.env.flatMap((name) => fromEnvironment(row, name, env, cwd, sources));
    const [first, ...others] = found;
    if (first === undefined) continue;
    sources.given.set(row.name, first);
    for (const other of others.filter(({ text }) => text !== first.text)) {
      sources.warnings.push(`${row.name} is set twice: ${other.origin} is ignored, ${first.origin} is used`);
    }
  }
}

type Row = { section: string; key: string; setting: Setting<unknown> };

function fromEnvironment(
  { section, key, setting }: Row,
  name: string,
  env: Environment,
  cwd: string,
  sources: Sources,
): Given[] {
  const direct = env[name] ?? "";
  const file = setting.secret ? (env[`${name}_FILE`] ?? "") : "";
  if (file === "") {
    // Secrets may begin or end with a space; nothing else does on purpose.
    const text = setting.secret ? withoutLineEnd(direct) : direct.trim();
    return text === "" ? [] : [{ text, origin: name, folder: cwd }];
  }
  const fault = (wanted: string) => sources.faults.push({ section, key, value: file, origin: `${name}_FILE`, wanted });
  if (direct !== "") {
    fault(`${name} or ${name}_FILE, not both`);
    return [];
  }
  try {
    const text = withoutLineEnd(readFileSync(resolvePath(cwd, file), "utf8"));
    return text === "" ? [] : [{ text, origin: `${name}_FILE`, folder: cwd }];
  } catch (error) {
    fault(`a file that can be read (${(error as NodeJS.ErrnoException).code})`);
    return [];
  }
}

function withoutLineEnd(text: string): string {
  return text.replace(/[\r\n]+$/, "");
}

// ---------------------------------------------------------------- names

/** Every name that may stand in the file, and the setting it stands for. */
const rowsByName = new Map(
  settingRows().flatMap(({ name, setting }) => [name, ...setting.synonyms].map((alias) => [alias, name] as const)),
);

const secretNames = new Set(
  settingRows()
    .filter(({ setting }) => setting.secret)
    .flatMap(({ name, setting }) => [name, ...setting.synonyms]),
);

function sectionNames(): string[] {
  const names = [...rowsByName.keys(), ...Object.keys(retiredKeys)].map((name) => name.split(".")[0]!);
  return [...new Set(names)];
}

function isSection(name: string): boolean {
  return sectionNames().includes(name);
}

function didYouMean(word: string, candidates: string[]): string {
  const candidate = nearest(word, candidates);
  return candidate === null ? `: one of ${candidates.join(", ")}` : `; did you mean ${candidate}?`;
}

/** The same word in another section is a likelier slip than a similar one in this. */
function didYouMeanKey(section: string, key: string): string {
  const elsewhere = [...rowsByName.keys()].find((name) => name.split(".")[1] === key.toLowerCase());
  if (elsewhere !== undefined) return `; did you mean [${elsewhere.replace(".", "] ")}?`;
  const here = [...rowsByName.keys()].filter((name) => name.startsWith(`${section}.`));
  return didYouMean(
    key,
    here.map((name) => name.split(".")[1]!),
  );
}

const secretKeys = [...secretNames].map((name) => name.split(".")[1]!);

/** Of a key that does not exist nobody knows whether it is a secret: what it looks like decides. */
function shownValue(section: string | null, key: string | null, value: string | null): string | null {
  if (value === null || key === null) return value;
  const known = rowsByName.has(`${section}.${key}`);
  const secret = known ? secretNames.has(`${section}.${key}`) : looksSecret(key);
  return secret ? MASK : value;
}

function looksSecret(key: string): boolean {
  return nearest(key, secretKeys) !== null || /pass|pw|secret|token|key/i.test(key);
}
