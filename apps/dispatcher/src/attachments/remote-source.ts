/** What a server said of a file's version; sent back to it, it tells whether the file has changed (RFC 9110 §8.8). */
export type Validator = { etag?: string; lastModified?: string };

/** No server keeps a message waiting for longer, whatever it says: it may be mended long before. */
export const LONGEST_RETRY_AFTER_MS = 86_400_000;

/** Why a file cannot be had: for good, or for now, then perhaps with the time after which the server wants to be asked again. */
export type SourceFailure = { kind: "failed"; permanent: boolean; reason: string; retryAfterMs?: number };

/** A file that begins to come, or why it does not. */
export type Opened =
  | {
      kind: "file";
      /** Throws SourceRefused and SourceBroken; whoever does not want the rest returns the iterator. */
      body: AsyncIterable<Uint8Array>;
      /** As the server announced it; null: it did not. */
      declaredBytes: number | null;
      validator: Validator | null;
    }
  /** Still as it was under the validator asked with. */
  | { kind: "unchanged" }
  | SourceFailure;

/** The file broke off, or what came is none, for now. */
export class SourceBroken extends Error {
  override name = "SourceBroken";
}

/** What comes is nothing that will ever be a file of ours. */
export class SourceRefused extends Error {
  override name = "SourceRefused";
}
