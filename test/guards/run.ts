/**
 * Takes each guard of the list out of a copy of this checkout, one at a time, and runs the test that must fail then.
 * A few minutes. With words as arguments, only the guards that have one of them in their name:
 *
 *     npm run test:guards
 *     npm run test:guards -- limit: purge:
 */
import { type CheckoutCopy, copyCheckout } from "./checkout-copy.ts";
import type { Guard } from "./guard.ts";
import { GUARDS } from "./guards.ts";
import { runTests } from "./run-tests.ts";

const words = process.argv.slice(2);
const guards = GUARDS.filter(({ guard }) => words.length === 0 || words.some((word) => guard.includes(word)));
const copy = copyCheckout();
await untouchedPasses();
console.log("| guard | removed in | test that fails |\n| --- | --- | --- |");
const missing: string[] = [];
for (const guard of guards) {
  const found = await withoutGuard(copy, guard);
  console.log(`| ${guard.guard} | ${guard.file} | ${found.text} |`);
  if (!found.fails) missing.push(guard.guard);
}
console.log(`\n${guards.length} guards, ${missing.length} whose test does not fail without them`);
process.exitCode = missing.length === 0 ? 0 : 1;

/** What fails before anything was taken out proves nothing. */
async function untouchedPasses(): Promise<void> {
  const byFile = Map.groupBy(guards, (guard) => guard.test);
  for (const [file, named] of byFile) {
    const names = [...new Set(named.map(({ fails }) => fails))];
    const { passed, failed, output } = await runTests(copy.folder, file, names);
    const unseen = names.filter((name) => !passed.some((one) => one.includes(name)));
    if (failed.length > 0 || unseen.length > 0)
      throw new Error(`untouched, ${file} fails or lacks ${JSON.stringify([...failed, ...unseen])}:\n${output}`);
  }
}

async function withoutGuard({ mutated, folder }: CheckoutCopy, guard: Guard) {
  const { file, code, without, test, fails } = guard;
  const { failed, killed, output } = await mutated(file, code, without, () => runTests(folder, test, [fails]));
  // The file itself fails too, or alone when it could not even be read: that is no proof.
  const named = failed.find((name) => name.includes(fails));
  if (named !== undefined) return { fails: true, text: `${test}: ${named}` };
  if (killed) return { fails: true, text: `${test}: ${fails} (hangs)` };
  const why = failed.length > 0 ? `fails otherwise:\n${output}` : "none";
  return { fails: false, text: `**${why}**` };
}
