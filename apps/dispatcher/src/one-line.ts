/** Long enough for any reply that explains itself, short enough for a row. */
const LONGEST = 500;

/** A reply of several lines as one, its code once in front, without control characters. */
export function oneLine(reply: string): string {
  return reply
    .split(/\r?\n/)
    .map((line, index) => (index === 0 ? line.replace(/^(\d{3})-/, "$1 ") : line.replace(/^\d{3}[ -]/, "")))
    .join(" ")
    .replace(/[\u0000-\u001f\u007f]+/g, " ")
    .slice(0, LONGEST);
}
