import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { basename, dirname, join, normalize } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Which of our packages each may import. */
const arrows: Record<string, string[]> = {
  "apps/api": ["db", "domain", "runtime"],
  "apps/dispatcher": ["db", "domain", "runtime"],
  "apps/mailctl": ["db", "domain", "runtime"],
  "apps/reporter": ["db", "domain", "runtime"],
  "libs/db": ["domain"],
  "libs/domain": [],
  "libs/runtime": [],
};

/** Libraries with one home; a path ending in `/` is a folder. */
const homesOfLibraries: Record<string, string[]> = {
  "better-sqlite3": ["libs/db/src/sqlite/"],
  "drizzle-orm": ["libs/db/src/sqlite/"],
  hono: ["apps/api/src/"],
  "@aws-sdk/client-s3": ["apps/dispatcher/src/attachments/fetch-s3.ts"],
  nodemailer: ["apps/dispatcher/src/"],
  piscina: ["apps/dispatcher/src/"],
  undici: ["apps/reporter/src/client.ts", "apps/dispatcher/src/attachments/fetch-url.ts", "libs/runtime/src/egress.ts"],
  pino: ["libs/runtime/src/log.ts"],
  yargs: ["apps/mailctl/src/"],
  "cli-progress": ["apps/mailctl/src/progress.ts"],
  "postal-mime": ["apps/mailctl/src/eml.ts"],
  ini: ["libs/runtime/src/"],
  "prom-client": ["libs/runtime/src/", "apps/"],
};

/** What stands only where the design says, and how it looks in code. */
const homesOfThings: { thing: string; looks: RegExp; homes: string[] }[] = [
  {
    thing: "SQL",
    looks:
      /\b(SELECT\s[^"]*\sFROM|INSERT (OR \w+ )?INTO|UPDATE\s\w+\sSET|DELETE FROM|CREATE (TABLE|INDEX)|PRAGMA|BEGIN IMMEDIATE)\b/,
    homes: ["libs/db/src/sqlite/"],
  },
  {
    thing: "environment and arguments",
    looks: /\bprocess\.(env|argv)\b/,
    // mailctl's arguments are commands, and it may be pointed at a service that is configured elsewhere.
    homes: ["libs/runtime/src/config.ts", "apps/mailctl/src/main.ts"],
  },
  {
    thing: "clocks",
    looks: /\bDate\.now\b|\bnew Date\(/,
    homes: ["libs/runtime/src/clock.ts"],
  },
  { thing: "chance", looks: /\bMath\.random\b/, homes: ["main.ts"] },
  {
    thing: "signals and exits",
    looks: /\bprocess\.(exit|kill|abort)\b|["']SIG(TERM|INT|HUP)["']/,
    // Only --check and a faulty configuration end a process before there is anything to shut down.
    homes: ["libs/runtime/src/shutdown.ts", "libs/runtime/src/config.ts", "main.ts"],
  },
  {
    thing: "HTTP",
    looks: /\bfetch\(|["']node:https?["']/,
    homes: [
      "apps/api/src/",
      "apps/mailctl/src/api.ts",
      "apps/reporter/src/client.ts",
      "apps/dispatcher/src/attachments/url-answer.ts",
      "libs/runtime/src/status-server.ts",
    ],
  },
];

type Source = { path: string; code: string; imports: string[] };

const sources: Source[] = globSync("{apps,libs}/*/src/**/*.ts", { cwd: root }).map((path) => {
  const code = withoutComments(readFileSync(join(root, path), "utf8"));
  return { path, code, imports: importsOf(code) };
});

test("each package imports only the packages that the layers allow", () => {
  for (const [folder, allowed] of Object.entries(arrows)) {
    const wanted = allowed.map((name) => `@async-mail/${name}`);
    const { name: self } = manifest(folder);
    for (const { path, imports } of sourcesOf(folder)) {
      const ours = imports.map(packageOf).filter((name) => name?.startsWith("@async-mail/") && name !== self);
      assert.deepEqual(without(ours, wanted), [], path);
    }
  }
});

test("each package imports only what its own package.json lists", () => {
  for (const folder of Object.keys(arrows)) {
    const { name: self, dependencies = {} } = manifest(folder);
    for (const { path, imports } of sourcesOf(folder)) {
      const others = imports.map(packageOf).filter((name) => name !== null && name !== self);
      assert.deepEqual(without(others, Object.keys(dependencies)), [], path);
    }
  }
});

test("each package.json lists only what the package imports", () => {
  for (const folder of Object.keys(arrows)) {
    const imported = sourcesOf(folder).flatMap(({ imports }) => imports.map(packageOf));
    assert.deepEqual(without(Object.keys(manifest(folder).dependencies ?? {}), imported), [], folder);
  }
});

test("relative imports stay inside their package and name the file", () => {
  for (const { path, imports } of sources) {
    const home = path.split("/").slice(0, 2).join("/");
    for (const specifier of imports.filter((one) => one.startsWith("."))) {
      const target = normalize(join(dirname(path), specifier));
      assert.ok(target.startsWith(`${home}/`), `${path} imports ${specifier}`);
      assert.match(target, /\.(ts|json)$/, path);
    }
  }
});

test("libraries stand only in their homes", () => {
  for (const { path, imports } of sources)
    for (const name of imports.map(packageOf)) {
      const homes = name === null ? undefined : homesOfLibraries[name];
      if (homes !== undefined) assert.ok(isIn(path, homes), `${path} imports ${name}`);
    }
});

for (const { thing, looks, homes } of homesOfThings)
  test(`${thing}: only in their home`, () => {
    for (const { path, code } of sources) if (!isIn(path, homes)) assert.equal(looks.exec(code)?.[0], undefined, path);
  });

test("the domain is pure", () => {
  // Of node:url only the encoding of host names is wanted, which is arithmetic.
  for (const { path, imports } of sourcesOf("libs/domain"))
    assert.deepEqual(
      imports.filter((one) => one.startsWith("node:") && one !== "node:url"),
      [],
      path,
    );
});

test("no file is named after nothing", () => {
  for (const { path } of sources) assert.doesNotMatch(basename(path), /util|helper|manager|common|core|misc/, path);
});

function sourcesOf(folder: string): Source[] {
  const found = sources.filter(({ path }) => path.startsWith(`${folder}/`));
  assert.notEqual(found.length, 0, `no sources in ${folder}`);
  return found;
}

function manifest(folder: string): { name: string; dependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
}

function isIn(path: string, homes: string[]): boolean {
  return homes.some((home) => (home.endsWith("/") ? path.startsWith(home) : path === home || basename(path) === home));
}

function without<T>(all: T[], allowed: T[]): T[] {
  return all.filter((one) => !allowed.includes(one));
}

/** Strings with a doctored `//` inside (URLs) keep it: only what follows a blank is a comment. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "");
}

function importsOf(code: string): string[] {
  const statements = code.matchAll(/^(?:import\s|export [^;"'()=]*\sfrom\s)[^;"']*["']([^"']+)["']/gm);
  const calls = code.matchAll(/\b(?:import|require|require\.resolve|import\.meta\.resolve)\(\s*["']([^"']+)["']/g);
  return [...statements, ...calls].map((match) => match[1] ?? "");
}

/** The package of a bare specifier; null for relative ones and Node's own. */
function packageOf(specifier: string): string | null {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return null;
  assert.ok(!builtinModules.includes(specifier), `import "node:${specifier}" by its full name`);
  const [scope = "", name = ""] = specifier.split("/");
  return scope.startsWith("@") ? `${scope}/${name}` : scope;
}
