import type { Store } from "@async-mail/db/store";
import type { Clock } from "@async-mail/runtime/clock";
import type { Config } from "@async-mail/runtime/config";
import type { Log } from "@async-mail/runtime/log";
import type { HttpBindings } from "@hono/node-server";
import type { Bodies } from "./body.ts";
import type { Cursors } from "./cursor.ts";
import type { ApiMetrics } from "./metrics.ts";
import type { Caller, Scope } from "./scope.ts";

/** What the routes stand on; made once in main.ts. */
export type Deps = {
  config: Config;
  store: Store;
  clock: Clock;
  log: Log;
  metrics: ApiMetrics;
  bodies: Bodies;
  cursors: Cursors;
  version: string;
  /** null: none is asked for. */
  apiToken: string | null;
  newMessageId(domain: string): string;
  /** A tenant's key, of 256 random bits. */
  newKey(): string;
  /** False when this process has for long not been able to write that it lives. */
  stands(): boolean;
  /** Aborted when the process has begun to stop. */
  stopping: AbortSignal;
};

export type Env = {
  Bindings: HttpBindings;
  Variables: {
    /** Set for every call that needs a token. */
    caller: Caller;
    /** Set for calls about a tenant's mail. */
    scope?: Scope;
    /** Unknown fields of the request, to be named in the answer. */
    warnings?: string[];
  };
};
