#!/usr/bin/env node
/**
 * Runs a command with the Node.js and the dependencies that this project needs, on any machine that has Node 20 and npm:
 *
 *     node scripts/run.mjs node apps/api/src/main.ts
 *
 * What is missing is fetched once: Node and pnpm through npx (into npm's own cache), the dependencies through pnpm.
 * Where both are recent enough, nothing is fetched and nothing but this file stands before the command.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const NODE = "node@24";
const PNPM = "pnpm@12";
const REMEMBERED = join(ROOT, "node_modules", ".fetched-by-npx");

let toRemember = null;

const install = !installed();
const path = [join(ROOT, "node_modules", ".bin"), basePath()].join(delimiter);
if (install) installDependencies();
remember();
runCommand(process.argv.slice(2));

function basePath() {
  // Always both together, so that npx fetches one set and not one for each case.
  if (!nodeSuffices(process.versions.node)) return pathWith([NODE, PNPM]);
  if (install && !pnpmSuffices()) return pathWith([PNPM]);
  return process.env.PATH;
}

/** As in `engines` of package.json: these run TypeScript as it stands. */
function nodeSuffices(version) {
  const [major, minor, patch] = version.split(".").map(Number);
  if (major === 22) return minor > 22 || (minor === 22 && patch >= 2);
  return major > 24 || (major === 24 && minor >= 15);
}

function pnpmSuffices() {
  const { status, stdout } = spawnSync("pnpm", ["--version"], { cwd: ROOT, encoding: "utf8" });
  return status === 0 && Number(stdout.split(".")[0]) >= 12;
}

/** pnpm leaves a copy of the lockfile that it has installed, and only after it has finished. */
function installed() {
  try {
    return readFileSync(join(ROOT, "node_modules/.pnpm/lock.yaml")).equals(readFileSync(join(ROOT, "pnpm-lock.yaml")));
  } catch {
    return false;
  }
}

/** A PATH with the packages: where npx has put them before, else where it puts them now. */
function pathWith(packages) {
  const folder = rememberedFolder() ?? fetchedFolder(packages);
  return [folder, process.env.PATH].join(delimiter);
}

/** npx asks the registry each time, and a start must not need the network: so where it put them is remembered. */
function rememberedFolder() {
  try {
    const folder = readFileSync(REMEMBERED, "utf8");
    return existsSync(join(folder, "node")) && existsSync(join(folder, "pnpm")) ? folder : null;
  } catch {
    return null;
  }
}

function fetchedFolder(packages) {
  const names = packages.join(" and ");
  tell(`this machine has Node ${process.versions.node}: fetching ${names} through npx, this once`);
  const show = "node -e \"process.stdout.write('PATH=' + process.env.PATH)\"";
  const options = packages.flatMap((name) => ["-p", name]);
  const { status, stdout } = spawnSync("npx", ["-y", ...options, "-c", show], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, npm_config_update_notifier: "false" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const folder = stdout?.split("PATH=")[1]?.split(delimiter)[0];
  if (status !== 0 || !folder) fail(`npx could not fetch ${names}`, status);
  toRemember = folder;
  return folder;
}

/** Beside the dependencies, which are there by now. */
function remember() {
  if (toRemember) writeFileSync(REMEMBERED, toRemember);
}

function installDependencies() {
  tell("installing the dependencies named in pnpm-lock.yaml");
  // Its report goes to standard error: standard output belongs to the command. A node_modules of another origin is
  // replaced without asking, since there may be nobody to ask.
  const { status } = spawnSync(
    "pnpm",
    ["install", "--frozen-lockfile", "--loglevel=error", "--config.confirmModulesPurge=false"],
    {
      cwd: ROOT,
      env: { ...process.env, PATH: path },
      stdio: ["ignore", process.stderr.fd, "inherit"],
    },
  );
  if (status !== 0) fail("pnpm could not install the dependencies", status);
}

/** Stands in for the command: passes signals on, and ends as it ended. */
function runCommand([command, ...args]) {
  const child = spawn(command, args, { env: { ...process.env, PATH: path }, stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(`${command}: ${error.message}`, 127));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

function tell(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text, status) {
  tell(text);
  process.exit(status || 1);
}
