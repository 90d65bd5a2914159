import { WrongUsage } from "./faults.ts";

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
const WANTED = "a span such as 90s, 15m, 2h or 1d, an ISO 8601 time with its zone, or epoch seconds";

/** Epoch seconds. */
export function readTime(option: string, text: string, nowMs: number): number {
  const span = /^(\d+)([smhd])$/.exec(text.trim());
  if (span) return Math.floor(nowMs / 1000) + Number(span[1]) * UNITS[span[2]!]!;
  if (/^\d{9,11}$/.test(text)) return Number(text);
  const ms = /(Z|[+-]\d\d:?\d\d)$/i.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw new WrongUsage(`--${option} ${text}: wanted ${WANTED}`);
  return Math.floor(ms / 1000);
}
