import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { Config } from "@async-mail/runtime/config";
import type { Global } from "./deps.ts";
import { Refused, WrongUsage } from "./faults.ts";

/** Where the API is, and what opens it; null: no token is asked for, or none is to be had. */
export type Target = { url: string; token: string | null };

/** From the command line, else the environment, else the configuration, which is read only where it is needed. */
export function findTarget(
  given: Pick<Global, "url" | "token" | "tokenFile">,
  env: Record<string, string | undefined>,
  config: () => Config,
): Target {
  const url = given.url ?? (env.MAILCTL_URL || null) ?? configuredUrl(config());
  if (!/^https?:\/\/[^/]/.test(url)) throw new WrongUsage(`--url ${url}: wanted http://host:port`);
  return { url: url.replace(/\/+$/, ""), token: givenToken(given, env) ?? configuredToken(config()) };
}

function givenToken(
  { token, tokenFile }: Pick<Global, "token" | "tokenFile">,
  env: Record<string, string | undefined>,
) {
  if (token !== undefined) return token;
  if (tokenFile !== undefined) return readToken(tokenFile, "--token-file");
  return env.MAILCTL_TOKEN || env.API_TOKEN || null;
}

/** One that can be connected to: nobody answers at 0.0.0.0. */
export function configuredUrl({ server }: Pick<Config, "server">): string {
  const host = server.host === "0.0.0.0" ? "127.0.0.1" : server.host === "::" ? "::1" : server.host;
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${server.port}`;
}

/** The configured one, else that which the api has made; null where neither is there. */
export function configuredToken({ server, storage }: Pick<Config, "server" | "storage">): string | null {
  if (server.allowAnonymous) return null;
  return server.apiToken ?? readIfThere(madeTokenFile(storage.dbPath));
}

/** Beside the database, as apps/api keeps it. */
export function madeTokenFile(dbPath: string): string {
  return `${dbPath}.token`;
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trim() || null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw unreadable(file, error);
  }
}

function readToken(file: string, origin: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw unreadable(file, error);
  }
  if (text === "") throw new Refused(`${origin} ${file} is empty, wanted: the API token`);
  return text;
}

function unreadable(file: string, error: unknown): Refused {
  return new Refused(`the token in ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
}
