import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ROOT } from "../support/processes.ts";

/** What this project uses of a service of docker-compose.yml. */
export type Service = {
  image: string;
  command?: string[];
  environment?: Record<string, string>;
  profiles?: string[];
  volumes?: string[];
  tmpfs?: string[];
  secrets?: string[];
  configs?: { source: string; target: string }[];
  ports?: string[];
  read_only?: boolean;
  stop_grace_period?: string;
};

export type Compose = {
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
  configs: Record<string, { file: string }>;
  volumes: Record<string, null>;
};

const FILE = join(ROOT, "docker-compose.yml");

/** As compose reads it: variables first, then merges. */
export function readCompose(env: Record<string, string> = {}): Compose {
  const text = readFileSync(FILE, "utf8").replaceAll(/\$\{(\w+)(:?-)([^}]*)\}/g, (_all, name, operator, fallback) => {
    const given = env[name];
    return given === undefined || (operator === ":-" && given === "") ? fallback : given;
  });
  const compose = parse(text, { merge: true });
  for (const service of Object.values<Service>(compose.services))
    for (const [name, value] of Object.entries(service.environment ?? {}))
      service.environment![name] = String(value ?? "");
  return compose;
}

/** Every variable that the file takes from .env. */
export function variablesOfCompose(): string[] {
  return [...new Set([...readFileSync(FILE, "utf8").matchAll(/\$\{(\w+)/g)].map(([, name]) => name!))].sort();
}

/** NAME=value lines, and those that are commented out. */
export function readEnvFile(path: string): { set: Record<string, string>; named: string[] } {
  const text = readFileSync(join(ROOT, path), "utf8");
  const set = [...text.matchAll(/^([A-Z][A-Z0-9_]+)=(.*)$/gm)].map(([, name, value]) => [name!, value!] as const);
  const named = [...text.matchAll(/^#?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name!);
  return { set: Object.fromEntries(set), named: [...new Set(named)].sort() };
}
