import { createUrlSource } from "@async-mail/dispatcher/attachments/fetch-url";
import type { Opened, Validator } from "@async-mail/dispatcher/attachments/remote-source";
import { createEgress, type EgressOptions, publicAddressesOnly } from "@async-mail/runtime/egress";

/** What came of one fetch, its body read to the end: the file's text, or the error that ended it. */
export type Fetch = { opened: Opened; text?: string; bytes?: number; error?: Error };

export type UrlBench = {
  fetch(url: string, options?: FetchOptions): Promise<Fetch>;
  open(url: string, known?: Validator | null, signal?: AbortSignal, authorization?: string): Promise<Opened>;
  close(): Promise<void>;
};

type FetchOptions = {
  known?: Validator | null;
  signal?: AbortSignal;
  authorization?: string;
  /** Stops reading beyond. */
  mostBytes?: number;
};

const MAX_BYTES = 1_000_000;

/** The source of URLs as the dispatcher has it, with 127.0.0.1 for a public address. */
export function urlBench(options: Partial<EgressOptions> & { maxBytes?: number } = {}): UrlBench {
  const { maxBytes = MAX_BYTES, ...given } = options;
  const mayReach = publicAddressesOnly(["127.0.0.1"]);
  const egress = createEgress({ mayReach, connectTimeoutMs: 60_000, connectionsPerOrigin: 4, ...given });
  const source = createUrlSource({ egress, maxBytes });
  const open: UrlBench["open"] = (url, known = null, signal = new AbortController().signal, authorization) =>
    source.open({ url, authorization: authorization ?? null }, known, signal);
  return {
    open,
    async fetch(url, { known = null, signal, authorization, mostBytes = Number.POSITIVE_INFINITY } = {}) {
      const opened = await open(url, known, signal, authorization);
      return opened.kind === "file" ? { opened, ...(await read(opened.body, mostBytes)) } : { opened };
    },
    close: () => egress.destroy(),
  };
}

export async function read(body: AsyncIterable<Uint8Array>, mostBytes: number): Promise<Omit<Fetch, "opened">> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > mostBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    return { bytes, error: error as Error };
  }
  return { bytes, text: Buffer.concat(chunks).toString() };
}
