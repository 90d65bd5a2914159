import { type Expected, FILE } from "./file-fault.ts";
import type { Played } from "./run-case.ts";

/** All in which what was seen differs from what must be; an empty list: nothing. */
export function differences(expected: Expected, played: Played): string[] {
  const { record, requests, beside } = played;
  const wanted = expected.reason === undefined ? 1 : attemptsOf(expected);
  return [
    ...differs("status", record.status, expected.status),
    ...differs("requests", requests, expected.requests),
    ...(record.history.length >= wanted ? [] : [`${record.history.length} attempts, wanted ${wanted}`]),
    ...ofReason(expected, record.history[0]?.response ?? ""),
    ...ofWait(expected, played),
    ...ofMail(expected, played),
    ...differs("the message beside it", beside.status, "sent"),
  ];
}

function attemptsOf({ status }: Expected): number {
  return status === "sent" ? 2 : 1;
}

function ofReason({ reason }: Expected, text: string): string[] {
  if (reason === undefined) return [];
  const named = /^(attachment: )?Attachment fetch failed: report\.pdf: /;
  return named.test(text) && reason.test(text) ? [] : [`reason "${text}", wanted ${reason}`];
}

function ofWait({ waitsSeconds }: Expected, { record }: Played): string[] {
  const [first, second] = record.history;
  if (waitsSeconds === undefined || first === undefined || second === undefined) return [];
  const waited = (Date.parse(second.at) - Date.parse(first.at)) / 1000;
  // Two clocks of one machine, told in milliseconds.
  return waited >= waitsSeconds - 0.01 ? [] : [`the second attempt ended after ${waited} s, wanted ${waitsSeconds}`];
}

function ofMail({ status, file = FILE }: Expected, { mailed }: Played): string[] {
  if (status !== "sent") return mailed === null ? [] : ["mail went out"];
  const [only, ...more] = mailed ?? [];
  return only?.equals(file) && more.length === 0 ? [] : ["the mail does not hold the file"];
}

function differs(what: string, found: unknown, wanted: unknown): string[] {
  return found === wanted ? [] : [`${what} ${found}, wanted ${wanted}`];
}
