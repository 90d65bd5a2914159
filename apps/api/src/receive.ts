import type { HttpBindings } from "@hono/node-server";

export type BodyLimits = {
  maxBodyBytes: number;
  maxBytesInFlight: number;
  /** A body of which nothing came for so long is given up: what it declared holds room that others need. */
  stalledMs?: number;
};

type Incoming = HttpBindings["incoming"];
type Outgoing = HttpBindings["outgoing"];

export type Received = Buffer | "too large" | "busy" | "gone";

/**
 * Receives a body within both limits. What a request holds counts until it is answered, parsed data included; a
 * declared length counts at once, so that many large bodies do not fill the memory half each.
 */
/** Less than the grace of a stop, which would wait for it. */
const STALLED_MS = 15_000;

export function createReceiver({ maxBodyBytes, maxBytesInFlight, stalledMs = STALLED_MS }: BodyLimits) {
  let inFlight = 0;

  return async function receive(incoming: Incoming, outgoing: Outgoing): Promise<Received> {
    let held = 0;
    /** A request that is alone is let through, however large: it would never find more room. */
    function hold(bytes: number): boolean {
      const others = inFlight - held;
      if (others > 0 && inFlight + bytes > maxBytesInFlight) return false;
      held += bytes;
      inFlight += bytes;
      return true;
    }

    const declared = Number(incoming.headers["content-length"] ?? 0);
    if (declared > maxBodyBytes) return "too large";
    outgoing.once("close", () => {
      inFlight -= held;
    });
    if (!hold(declared)) return "busy";

    return collect(incoming, stalledMs, (size) => {
      if (size > maxBodyBytes) return "too large";
      return size <= held || hold(size - held) ? undefined : "busy";
    });
  };
}

/** `refuse` is asked with the size after every chunk. The rest of a refused body is left to the server to drain. */
function collect(
  incoming: Incoming,
  stalledMs: number,
  refuse: (size: number) => "too large" | "busy" | undefined,
): Promise<Received> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const stalled = setTimeout(() => incoming.destroy(), stalledMs);
    function onData(chunk: Buffer): void {
      stalled.refresh();
      size += chunk.length;
      const refusal = refuse(size);
      if (refusal) finish(refusal);
      else chunks.push(chunk);
    }
    const onEnd = () => finish(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size));
    const onGone = () => finish("gone");
    function finish(received: Received): void {
      clearTimeout(stalled);
      incoming.off("data", onData).off("end", onEnd).off("close", onGone);
      if (!incoming.readableEnded) incoming.pause();
      resolve(received);
    }
    // Without a listener the reset of a connection would be an uncaught error; "close" follows it.
    incoming.on("error", () => {});
    incoming.on("data", onData).on("end", onEnd).on("close", onGone);
  });
}
