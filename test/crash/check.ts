import { readFileSync } from "node:fs";
import type { Books, Finding } from "./books.ts";
import { copyFaults } from "./check-copies.ts";
import { isFinal, recordFaults } from "./check-record.ts";
import { reportFaults, wasOutOfTouch } from "./check-reports.ts";
import { endedByItself, type Generation, wasStruckOff } from "./generation.ts";
import type { MessageRecord, ServiceClient } from "./service-client.ts";

export type Checker = {
  /** Holds the books against the records of all that has not come to its end, or was taken again since. */
  pass(): Promise<Finding[]>;
  /** Ids that are not both ended and reported, as the last pass found. */
  open(): string[];
  /** The records of the last look at each. */
  records: Map<string, MessageRecord>;
  /** All that is stored is what was posted, and as it was seen last. */
  whole(): Promise<Finding[]>;
};

const AT_ONCE = 8;

export function createChecker(service: ServiceClient, books: Books): Checker {
  const records = new Map<string, MessageRecord>();
  const closed = new Set<string>();
  let copiesSeen = 0;

  function open(): string[] {
    return books.posts
      .accepted()
      .map(({ message }) => message.id)
      .filter((id) => !closed.has(id));
  }

  async function check(id: string): Promise<Finding[]> {
    const entry = books.posts.entries.get(id);
    if (entry === undefined) return [{ id, what: "the mail server took a message that nobody posted" }];
    const reported = books.sync.postedOf(id);
    const record = await service.record(id);
    if (record === null) return entry.acceptedAt === null ? [] : [{ id, what: "answered with 200, and not found" }];
    const before = records.get(id);
    records.set(id, record);
    const faults = [
      ...recordFaults(entry, record, books),
      ...copyFaults(record, books),
      ...reportFaults(record, { before: reported, now: books.sync.postedOf(id) }, books),
      ...(before?.status === "sent" && record.status !== "sent" ? [`was sent, and is ${record.status}`] : []),
    ];
    if (isFinal(record) && record.reported_ts !== undefined) closed.add(id);
    return faults.map((what) => ({ id, what }));
  }

  return {
    open,
    records,
    async pass() {
      const taken = books.mail.copies.slice(copiesSeen).map(({ id }) => id);
      copiesSeen = books.mail.copies.length;
      const ids = [...new Set([...open(), ...taken])];
      const findings: Finding[] = [];
      const work = async () => {
        for (let id = ids.pop(); id !== undefined; id = ids.pop()) findings.push(...(await check(id)));
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      return findings;
    },
    async whole() {
      const stored = await service.records();
      const ids = new Set(stored.map(({ id }) => id));
      const foreign = [...ids].filter((id) => !books.posts.entries.has(id));
      const missing = books.posts.accepted().filter(({ message }) => !ids.has(message.id));
      const changed = stored.filter(({ id, status }) => closed.has(id) && records.get(id)?.status !== status);
      return [
        ...foreign.map((id) => ({ id, what: "stored, and never posted" })),
        ...missing.map(({ message }) => ({ id: message.id, what: "answered with 200, and not in the list" })),
        ...changed.map(({ id, status }) => ({ id, what: `was ${records.get(id)?.status}, is ${status} in the list` })),
        ...(stored.length === ids.size ? [] : [{ id: null, what: "an id is in the list twice" }]),
      ];
    },
  };
}

/** Never two calls at once to the client, but beside a reporter that stood still or was found dead. */
export function overlapFaults(books: Books): Finding[] {
  return books.sync.overlaps
    .filter(({ earlier, later }) => !wasOutOfTouch(earlier, books) && !wasOutOfTouch(later, books))
    .filter(({ earlier }) => !killed(books.generation(earlier.reporter)))
    .filter(({ earlier, later }) => ![earlier, later].some(({ reporter }) => losesTouch(books.generation(reporter))))
    .map(({ earlier, later }) => ({
      id: null,
      what: `${later.reporter} called the client during a call of ${earlier.reporter}: ${JSON.stringify([earlier, later])}`,
    }));
}

function losesTouch(generation: Generation | undefined): boolean {
  return generation !== undefined && wasStruckOff(generation);
}

function killed(generation: Generation | undefined): boolean {
  return generation?.signals.some(({ signal }) => signal === "SIGKILL") ?? false;
}

/** Nobody sent a signal, and yet it ended. */
export function endFaults(generations: readonly Generation[]): Finding[] {
  return generations.filter(endedByItself).map(({ name, end, file }) => ({
    id: null,
    what: `${name} ended by itself, ${JSON.stringify(end)}:\n${readFileSync(file, "utf8").split("\n").slice(-6).join("\n")}`,
  }));
}
