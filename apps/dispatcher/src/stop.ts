import type { Presence } from "@async-mail/runtime/presence";
import type { Attachments } from "./attachments/gather.ts";
import type { Composer } from "./composer.ts";
import type { Flight } from "./flight.ts";
import type { Relay } from "./relay.ts";

type Leaving = {
  flight: Pick<Flight, "landed" | "unsettled">;
  relay: Pick<Relay, "close">;
  composer: Pick<Composer, "close">;
  attachments: Pick<Attachments, "close">;
  presence: Pick<Presence, "leave">;
  /** What is in flight is cut then. */
  deadline: AbortSignal;
};

/**
 * Lets what is in flight land, and leaves. A claim without a written outcome keeps the process's row: leaving would give
 * it back as if nothing had been sent, while whoever strikes the row off counts it as lost.
 */
export async function leave({ flight, relay, composer, attachments, presence, deadline }: Leaving): Promise<void> {
  await flight.landed(deadline);
  await Promise.all([relay.close(), composer.close(), attachments.close()]);
  // What was cut is settled yet; should that hang, the end of the grace ends it.
  await flight.landed();
  if (flight.unsettled() === 0) await presence.leave();
}
