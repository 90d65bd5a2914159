/**
 * RFC 9110 §10.2.3: how long to wait before asking again, in seconds or as a date, which is measured from `sentMs`: wall
 * ms at which the answer was made, by the clock that the date is of. At most `longestMs`; null: nothing to wait for.
 */
export function retryAfterMs(header: string | undefined, sentMs: number, longestMs: number): number | null {
  const text = header?.trim() ?? "";
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - sentMs;
  return ms > 0 ? Math.min(ms, longestMs) : null;
}
