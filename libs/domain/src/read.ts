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
  const json = JSON.stringify(text.length > 100 ? `${text.slice(0, 99)}…` : text);
  return json.replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** What JSON leaves as it is, and a terminal or a log does not: controls, line ends and turns of direction. */
const UNSEEN = /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Line breaks and other control characters become spaces, so that nothing can begin a header line of its own. So do
 * U+0085, U+2028 and U+2029, at which some readers end a line too.
 */
export function oneLine(text: string): string {
  return CONTROL.test(text) ? text.replace(CONTROLS, " ") : text;
}

const CONTROL = /[\x00-\x1f\x7f\x85\u2028\u2029]/;
const CONTROLS = /\r\n|[\x00-\x1f\x7f\x85\u2028\u2029]/g;
