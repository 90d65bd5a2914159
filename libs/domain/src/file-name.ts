import { oneLine } from "./read.ts";

/** In octets of UTF-8; what file systems take. */
const MAX_OCTETS = 255;
const MAX_EXTENSION = 20;
/** Of a longer name so many characters of either end are looked at. */
const MAX_READ = 5000;
/** Characters that turn the direction of what follows, so that `exe.pdf` is read where `fdp.exe` stands. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

/**
 * A name under which an attachment may go out: its last segment alone, on one line, shown as it is stored, with at most
 * 255 octets; empty where nothing of that is left.
 */
export function safeFileName(name: string): string {
  const last = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
  const shown = oneLine(withoutMiddle(last).toWellFormed()).replace(TURNING, "").replace(/\s+/g, " ").trim();
  return /^\.*$/.test(shown) ? "" : shortened(shown);
}

/** What could be in the name's 255 octets at the end, whatever is left out of it. */
function withoutMiddle(name: string): string {
  return name.length <= 2 * MAX_READ ? name : name.slice(0, MAX_READ) + name.slice(-MAX_READ);
}

/** Cut before its extension, between two characters. */
function shortened(name: string): string {
  if (Buffer.byteLength(name) <= MAX_OCTETS) return name;
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 && name.length - dot <= MAX_EXTENSION ? name.slice(dot) : "";
  const room = MAX_OCTETS - Buffer.byteLength(extension);
  let stem = "";
  let octets = 0;
  for (const character of name) {
    octets += Buffer.byteLength(character);
    if (octets > room) break;
    stem += character;
  }
  return `${stem.trimEnd()}${extension}`;
}
