import { unsafe } from "ini";

export type IniEntry = { section: string; key: string; value: string; line: number };
export type IniFault = {
  section: string | null;
  key: string | null;
  value: string | null;
  line: number;
  wanted: string;
};

/** The sections and entries of an INI text, and every line that does not mean what it seems to. */
export function readIni(text: string): {
  sections: { name: string; line: number }[];
  entries: IniEntry[];
  faults: IniFault[];
} {
  const sections: { name: string; line: number }[] = [];
  const entries: IniEntry[] = [];
  const faults: IniFault[] = [];
  for (const [index, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const line = index + 1;
    // Trims a byte order mark too.
    const content = raw.trim();
    if (content === "" || /^[;#]/.test(content)) continue;
    const header = /^\[([^\]]*)\]$/.exec(content);
    if (header) {
      sections.push({ name: header[1]!.trim(), line });
      continue;
    }
    const section = sections.at(-1)?.name ?? null;
    // Of a line that is no entry only the first word is shown: what follows may be a secret.
    const [, key = content.split(/[:\s]/)[0]!, value] = /^([^=]+?)\s*=\s*(.*)$/.exec(content) ?? [];
    const wanted = complaint(section, content, value);
    if (wanted === null) entries.push({ section: section!, key, value: unquote(value!)!, line });
    else faults.push({ section, key, value: value ?? null, line, wanted });
  }
  return { sections, entries, faults };
}

function complaint(section: string | null, content: string, value: string | undefined): string | null {
  if (content.startsWith("[")) return "[section] alone on its line";
  if (value === undefined) return "key = value";
  if (section === null) return "below a [section]";
  // The INI format ends the value there: without this, half a password would be taken for the whole.
  if (!/^["']/.test(value) && /[#;]/.test(value)) return "in quotes, since # and ; begin a comment";
  if (unquote(value) === null) return "the same quote at its end, and \\\\ for a backslash within double quotes";
  return null;
}

/** Quotes are read here since `ini` takes '0123' for a number, and keeps the quotes where it cannot read what is between. */
function unquote(value: string): string | null {
  if (value.startsWith("'")) return /^'[^']*'$/.test(value) ? value.slice(1, -1) : null;
  if (!value.startsWith('"')) return unsafe(value);
  try {
    return String(JSON.parse(value));
  } catch {
    return null;
  }
}
