import type { Generation } from "./generation.ts";
import type { MailBook } from "./mail-book.ts";
import type { PostBook } from "./post-book.ts";
import type { SyncBook } from "./sync-book.ts";

/** What each side knows for itself; the checks hold them against the service's records and against one another. */
export type Books = {
  posts: PostBook;
  mail: MailBook;
  sync: SyncBook;
  generation(name: string): Generation | undefined;
};

/** Something that must not be. */
export type Finding = { id: string | null; what: string };
