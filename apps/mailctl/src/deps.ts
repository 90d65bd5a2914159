import type { Readable } from "node:stream";
import type { LoadedConfig } from "@async-mail/runtime/config";
import type { Api } from "./api.ts";

/** What every command may be given, before or after its name. */
export type Global = {
  url?: string | undefined;
  token?: string | undefined;
  tokenFile?: string | undefined;
  json: boolean;
};

/** What main.ts has, and commands work with. */
export type Deps = {
  /** As the processes read it; throws FaultyConfiguration. Read once, and only by who needs it. */
  configuration(): LoadedConfig;
  api(given: Global): Promise<Api>;
  /** A line, or several, of the answer. */
  out(text: string): void;
  /** What is not part of the answer: progress, warnings, questions. */
  tell(text: string): void;
  /** A person is at the other end of standard error, and may be shown what moves. */
  terminal: boolean;
  stdin: Readable & { isTTY?: boolean };
  now(): { wallMs: number; steadyMs: number };
  /** By the clock of a database file. */
  nowAt(steadyOffsetMs: number): { wallMs: number; steadyMs: number };
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  newId(): string;
  /** 32 bytes. */
  randomKey(): Buffer;
  /** From this call on, the first Ctrl-C ends nothing but aborts the signal: for who has something to bring to an end. */
  stopping(): AbortSignal;
};
