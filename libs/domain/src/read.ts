/** What reading a value from outside gives: the value, or what is wrong with it, in words for the one who sent it. */
export type Read<T> = { ok: true; value: T } | { ok: false; fault: string };

export function good<T>(value: T): Read<T> {
  return { ok: true, value };
}

export function bad(fault: string): { ok: false; fault: string } {
  return { ok: false, fault };
}

/** A value as an error may show it: quoted, escaped, and not longer than a line. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 99)}…` : text);
}

/** Line breaks and other control characters become spaces, so that nothing can begin a header line of its own. */
export function oneLine(text: string): string {
  return CONTROL.test(text) ? text.replace(/\r\n|[\x00-\x1f\x7f]/g, " ") : text;
}

const CONTROL = /[\x00-\x1f\x7f]/;
