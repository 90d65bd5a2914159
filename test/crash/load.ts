import { setTimeout as pause } from "node:timers/promises";
import { chance } from "../support/random.ts";
import { type PostedMessage, randomMessage } from "./message.ts";
import type { PostBook, PostEntry } from "./post-book.ts";
import { TOKEN } from "./settings.ts";

export type Load = {
  /** Posts the messages of that round, spread over its length. Resolves when each call was tried once. */
  round(number: number, lengthMs: number): Promise<void>;
  /** Posts again what no answer was had for, until there is one. */
  insist(): Promise<void>;
};

type Options = { seed: string; url: string; book: PostBook };

const MOST_PER_CALL = 8;
/** An impatient client: it breaks the call off, and does not know what became of it. */
const IMPATIENCE_MS = 1500;

/** The application that posts mail, and posts the same again when it was not answered. */
export function createLoad({ seed, url, book }: Options): Load {
  async function post(entries: PostEntry[], patienceMs: number): Promise<void> {
    const call = { at: Date.now(), answer: "none" };
    for (const entry of entries) entry.calls.push(call);
    try {
      const response = await fetch(`${url}/commands/add-messages`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-token": TOKEN },
        body: JSON.stringify({ messages: entries.map(({ message }) => message) }),
        signal: AbortSignal.timeout(patienceMs),
      });
      const answer = await response.text();
      call.answer = `${response.status} ${answer.slice(0, 300)}`;
      if (response.status === 200) accept(entries, JSON.parse(answer));
    } catch (error) {
      call.answer = `broken: ${error}`;
    }
  }

  function accept(entries: PostEntry[], answer: { rejected: { id: string; reason: string }[] }): void {
    const refused = new Map(answer.rejected.map(({ id, reason }) => [id, reason]));
    for (const entry of entries) {
      const reason = refused.get(entry.message.id);
      if (reason === undefined || reason === "duplicate id") entry.acceptedAt ??= Date.now();
      else throw new Error(`${entry.message.id} was rejected: ${reason}`);
    }
  }

  function entryOf(message: PostedMessage): PostEntry {
    const entry: PostEntry = { message, calls: [], acceptedAt: null };
    book.entries.set(message.id, entry);
    return entry;
  }

  return {
    async round(number, lengthMs) {
      const random = chance(seed, "load", number);
      const count = random.whole(10, 35);
      const ids = Array.from({ length: count }, (_, i) => `r${number}-${i}`);
      const calls: Promise<void>[] = [];
      const startedAt = performance.now();
      while (ids.length > 0) {
        const some = ids.splice(0, random.whole(1, MOST_PER_CALL));
        const atMs = (1 - (ids.length + some.length) / count) * lengthMs;
        const patienceMs = random.happens(0.05) ? random.between(1, 15) : IMPATIENCE_MS;
        await pause(Math.max(0, startedAt + atMs - performance.now()));
        const entries = some.map((id) => entryOf(randomMessage(seed, id, Date.now())));
        calls.push(post(entries, patienceMs));
      }
      await Promise.all(calls);
    },
    async insist() {
      const startedAt = performance.now();
      while (book.unanswered().length > 0) {
        if (performance.now() - startedAt > 60_000) throw new Error("the API answered no post for 60 s");
        const again = book.unanswered().slice(0, 100);
        await post(again, 5000);
        if (book.unanswered().length > 0) await pause(250);
      }
    },
  };
}
