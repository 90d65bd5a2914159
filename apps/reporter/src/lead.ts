import type { ProcessStore } from "@async-mail/db/store";
import type { Presence } from "@async-mail/runtime/presence";

export type Contender = {
  store: { processes: Pick<ProcessStore, "list"> };
  presence: Pick<Presence, "process" | "stands">;
};

/** One reporter works, the others stand by: the living one with the smallest number leads. */
export async function leads({ store, presence }: Contender): Promise<boolean> {
  if (!presence.stands()) return false;
  const living = await store.processes.list();
  const reporters = living.filter((one) => one.kind === "reporter").map((one) => one.process);
  return Math.min(...reporters) === presence.process();
}
