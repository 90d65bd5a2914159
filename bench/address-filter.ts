/**
 * What the address filter of URL attachments does with every case of its tests: spellings of addresses, in URLs and as
 * name servers tell them, with and without `attachments.allow_hosts`. Ends with 1 where a result is not the wanted one.
 *
 *     npm run bench:address-filter
 */
import { ADDRESS_CASES, type AddressCase, judge } from "../test/libs/runtime/address-cases.ts";

let wrong = 0;
for (const one of ADDRESS_CASES) console.log(line(one));
console.log(`\n${ADDRESS_CASES.length} cases, ${wrong} with another result than wanted`);
process.exitCode = wrong === 0 ? 0 : 1;

function line(one: AddressCase): string {
  const { host, allowed, why } = judge(one);
  const isWrong = allowed !== one.allowed;
  if (isWrong) wrong += 1;
  const read = host === one.from ? "" : `→ ${host}`;
  const given = one.host === undefined ? one.from : `${one.host} at ${one.from}`;
  const list = one.allowHosts === undefined ? "" : ` [allow_hosts ${one.allowHosts.join(", ")}]`;
  const verdict = allowed ? "allowed" : `refused: ${why}`;
  return `${given.padEnd(44)} ${read.padEnd(28)} ${verdict.padEnd(48)} ${one.what}${list}${isWrong ? "  WRONG" : ""}`;
}
