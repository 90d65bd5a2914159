import { MESSAGE_FIELDS } from "@async-mail/domain/message-schema";

const WORD_FOR_WORD = new Set(["missing id", "missing from", "missing to", "missing subject", "invalid payload"]);
const PATH = String.raw`(?:\[\d+\]|\.[\x21-\x7e]+?|\."(?:[^"\\]|\\.)*")*`;
const NAMED = new RegExp(`^invalid (?:${MESSAGE_FIELDS.join("|")})${PATH}(?::| has) .`, "s");

/** What is wrong with how a message was refused (contract §3.3); empty: nothing. */
export function faultsOfRefusal(reason: string): string[] {
  const faults: string[] = [];
  if (!WORD_FOR_WORD.has(reason) && !NAMED.test(reason)) faults.push(`the reason names no field: ${reason}`);
  if (/[\x00-\x1f\x7f]/.test(reason)) faults.push(`the reason is not one line: ${JSON.stringify(reason)}`);
  if (reason.length > 1000) faults.push(`the reason has ${reason.length} characters`);
  return faults;
}

/** The reason without what the client wrote in it. */
export function classOfReason(reason: string): string {
  return reason
    .replace(/"(?:[^"\\]|\\.)*"/gs, '"…"')
    .replace(/\[\d+\]/g, "[n]")
    .replace(/\d+/g, "N")
    .replace(/^(invalid headers)\.[^:]*:/, "$1.…:");
}
