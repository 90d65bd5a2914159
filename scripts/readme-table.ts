const BEGIN = "<!-- configuration: written by `npm run docs` -->\n";
const END = "<!-- end of configuration -->";

/** The README with this table between its marks. */
export function withConfigTable(readme: string, table: string): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin === -1 || end < begin) throw new Error(`README.md has no lines ${BEGIN.trim()} and ${END}, in this order`);
  return `${readme.slice(0, begin + BEGIN.length)}\n${table}\n${readme.slice(end)}`;
}
