#!/usr/bin/env node
import { randomBytes, randomUUID } from "node:crypto";
import { createClock } from "@async-mail/runtime/clock";
import type { LoadedConfig } from "@async-mail/runtime/config";
import manifest from "../package.json" with { type: "json" };
import { createApi } from "./api.ts";
import { run } from "./cli.ts";
import { readConfiguration } from "./configuration.ts";
import type { Deps } from "./deps.ts";
import { findTarget } from "./target.ts";

/** After so long, another Ctrl-C is meant as one. */
const SECOND_SIGNAL_MS = 1000;

const { env } = process;
const clock = createClock(0);
// `mailctl messages list | head` is no fault.
process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => process.exit(code === "EPIPE" ? 0 : 1));

let read: LoadedConfig | null = null;
const configuration = () => {
  read ??= readConfiguration(env, process.cwd());
  return read;
};
const stopping = () => {
  const stop = new AbortController();
  let firstMs = Number.POSITIVE_INFINITY;
  process.on("SIGINT", () => {
    // One Ctrl-C at a terminal comes twice where a launcher stands before us, which passes it on.
    if (clock.monotonicMs() - firstMs > SECOND_SIGNAL_MS) process.exit(130);
    firstMs = Math.min(firstMs, clock.monotonicMs());
    stop.abort();
  });
  return stop.signal;
};
const deps: Deps = {
  configuration,
  api: async (given) => createApi(findTarget(given, env, () => configuration().config)),
  out: (text) => void process.stdout.write(`${text}\n`),
  tell: (text) => void process.stderr.write(`${text}\n`),
  terminal: process.stderr.isTTY === true,
  stdin: process.stdin,
  now: clock.now,
  nowAt: (steadyOffsetMs) => createClock(steadyOffsetMs).now(),
  sleep: clock.sleep,
  newId: randomUUID,
  randomKey: () => randomBytes(32),
  stopping,
};

const code = await run(process.argv.slice(2), deps, manifest.version);
// Not by itself: a name that nobody resolves would keep it waiting.
process.stdout.write("", () => process.exit(code));
