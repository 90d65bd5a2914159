import type { Books } from "./books.ts";
import { excuseOf } from "./excuse.ts";
import type { Copy } from "./mail-book.ts";
import { recipientsOf } from "./message.ts";
import type { PostEntry } from "./post-book.ts";
import type { MessageRecord } from "./service-client.ts";

/** What contradicts in one record, by itself and against what the mail server took. */
export function recordFaults({ message }: PostEntry, record: MessageRecord, books: Books): string[] {
  const addresses = record.recipients.map(({ address }) => address);
  const copies = books.mail.copiesOf(record.id);
  return [
    ...stateFaults(record),
    ...wrongIf(addresses.toSorted().join() !== recipientsOf(message).toSorted().join(), "other recipients than posted"),
    ...acceptedFaults(record, copies),
    ...forgottenFaults(record, copies, books),
    ...copies.flatMap((copy) => copyFaults(copy, message.deferred_ts)),
  ];
}

export function isFinal({ status }: MessageRecord): boolean {
  return status === "sent" || status === "error";
}

/** Exactly one state, and a reason for whoever waits. */
function stateFaults(record: MessageRecord): string[] {
  const { status, sent_ts, error_ts, error, waiting, recipients } = record;
  const outcomes = new Set(recipients.map(({ outcome }) => outcome));
  if (!isFinal(record)) {
    return [
      ...wrongIf(sent_ts !== undefined || error_ts !== undefined || error !== undefined, `${status}, yet ended`),
      ...wrongIf(!waiting?.reason, `${status}, without a reason for waiting`),
    ];
  }
  return [
    ...wrongIf(waiting !== undefined, `${status}, yet waiting: ${waiting?.reason}`),
    ...wrongIf(outcomes.has("waiting"), `${status}, yet a recipient waits`),
    ...wrongIf((sent_ts !== undefined) !== (status === "sent"), `${status}, sent_ts ${sent_ts}`),
    ...wrongIf((error_ts !== undefined) !== (status === "error"), `${status}, error_ts ${error_ts}`),
    ...wrongIf(Boolean(error) !== (status === "error"), `${status}, error ${error}`),
    ...wrongIf(outcomes.has("accepted") !== (status === "sent"), `${status}, recipients ${[...outcomes]}`),
  ];
}

/** Whoever is marked as accepted: the server took it, and said so to the last byte. */
function acceptedFaults({ recipients }: MessageRecord, copies: Copy[]): string[] {
  return recipients
    .filter(({ outcome }) => outcome === "accepted")
    .filter(({ address }) => !copies.some((copy) => copy.reply === "whole" && copy.recipients.includes(address)))
    .map(({ address }) => `${address} is marked as accepted, the server knows nothing of it`);
}

/** A copy whose 250 was written must show in the record, unless there is an excuse. */
function forgottenFaults(record: MessageRecord, copies: Copy[], books: Books): string[] {
  if (!isFinal(record)) return [];
  const endedAt = Date.parse(record.updated_at);
  const accepted = new Set(record.recipients.flatMap((one) => (one.outcome === "accepted" ? one.address : [])));
  return copies
    .filter((copy) => copy.at < endedAt && copy.recipients.some((address) => !accepted.has(address)))
    .filter((copy) => excuseOf(copy, endedAt, record, books) === null)
    .map((copy) => `${record.status}, without a recipient of the copy that ${copy.dispatcher} handed over`);
}

function copyFaults({ damage, at }: Copy, deferredTs = 0): string[] {
  return [
    ...wrongIf(damage !== null, `the server took a damaged copy: ${damage}`),
    // Wall times have milliseconds.
    ...wrongIf(at < Math.floor(deferredTs * 1000), "sent before its deferred_ts"),
  ];
}

function wrongIf(wrong: boolean, what: string): string[] {
  return wrong ? [what] : [];
}
