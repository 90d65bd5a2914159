import type { Api, Body } from "./api.ts";
import type { Deps, Global } from "./deps.ts";
import { WrongUsage } from "./faults.ts";
import { standing } from "./message-text.ts";
import { type Filter, toQuery } from "./messages.ts";
import { oneLine } from "./print.ts";

/** One look is so many pages at most: where more is stored, only what is not final yet is looked at. */
const PAGE = 1000;
const MOST_PAGES = 5;
/** Of those that left the queue between two looks, so many are asked for. */
const MOST_LEFT = 200;

type Seen = Map<string, Body>;

/** Prints each message that is new, or has changed, since the look before. */
export async function tail(deps: Deps, api: Api, args: Global & Filter & { interval: number }): Promise<void> {
  if (!(args.interval > 0)) throw new WrongUsage(`--interval ${args.interval}: wanted seconds above 0`);
  const follow = createFollower(deps, api, args);
  const stopping = deps.stopping();
  let seen = await follow.look();
  deps.tell(
    `following ${seen.size} messages${follow.isPartial() ? ", only those not sent or failed yet" : ""}; Ctrl-C ends`,
  );
  while (!stopping.aborted) {
    await deps.sleep(args.interval * 1000, stopping);
    if (stopping.aborted) return;
    const now = await follow.look();
    for (const record of await follow.changes(seen, now)) deps.out(args.json ? JSON.stringify(record) : line(record));
    seen = now;
  }
}

function createFollower({ tell }: Pick<Deps, "tell">, api: Api, filter: Filter) {
  const query = toQuery(filter);
  let activeOnly = filter.activeOnly === true;

  /** Null: it is more than one look may take. */
  async function pages(): Promise<Seen | null> {
    const seen: Seen = new Map();
    let cursor: string | undefined;
    for (let page = 0; page < MOST_PAGES; page++) {
      const asked = { ...query, active_only: activeOnly || undefined, limit: PAGE, cursor };
      const { messages, next_cursor } = await api.get("/messages", asked);
      for (const record of messages) seen.set(record.id, record);
      if (next_cursor === undefined) return seen;
      cursor = next_cursor;
    }
    return activeOnly ? seen : null;
  }

  /** Those that are in no page any more: final now, or deleted. */
  async function whereabouts(ids: string[]): Promise<Body[]> {
    const found: Body[] = [];
    for (const id of ids.slice(0, MOST_LEFT)) {
      const path = `/messages/${encodeURIComponent(id)}`;
      const { status, body } = await api.ask("GET", path, { query: { tenant_id: query.tenant_id } });
      found.push(status === 200 ? body : { id, status: "deleted" });
    }
    if (ids.length > MOST_LEFT) tell(`and ${ids.length - MOST_LEFT} more left the queue`);
    return found;
  }

  return {
    isPartial: () => activeOnly,
    async look(): Promise<Seen> {
      const all = await pages();
      if (all !== null) return all;
      activeOnly = true;
      return (await pages())!;
    },
    async changes(before: Seen, now: Seen): Promise<Body[]> {
      const changed = [...now.values()].filter(({ id, updated_at, status }) => {
        const known = before.get(id);
        return known?.updated_at !== updated_at || known?.status !== status;
      });
      const left = [...before.keys()].filter((id) => !now.has(id));
      return [...changed, ...(await whereabouts(left))];
    },
  };
}

function line(record: Body): string {
  const { updated_at = "", id, status } = record;
  return oneLine([updated_at, status, id, status === "deleted" ? "" : standing(record)].filter(Boolean).join("  "));
}
