/** As the SDK counts them. */
type Turn = { getRetryCount(): number; getRetryDelay(): number };
type Failure = { errorType: string; retryAfterHint?: Date };

/** Long enough for a server behind the same address to take over. */
const PAUSE_MS = 100;

const first = turn(0);
const second = turn(1);

/**
 * For the SDK: a second request, soon, for what is over in a moment: a kept connection that the server closed meanwhile, a
 * 500, our clock put right by the answer. Whoever is busy or says when to come back is left alone: the message waits for it.
 */
export const onceMore = {
  acquireInitialRetryToken: async (): Promise<Turn> => first,
  refreshRetryTokenForRetry: async (used: Turn, { errorType, retryAfterHint }: Failure): Promise<Turn> => {
    if (used.getRetryCount() === 0 && errorType === "TRANSIENT" && retryAfterHint === undefined) return second;
    throw new Error("no further request"); // the SDK's protocol: it then throws what it has
  },
  recordSuccess: () => {},
};

function turn(count: number): Turn {
  return { getRetryCount: () => count, getRetryDelay: () => count * PAUSE_MS };
}
