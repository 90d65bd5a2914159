import type { FaultRow } from "./fault-case.ts";
import { DATA } from "./rows/data.ts";
import { ENVELOPE } from "./rows/envelope.ts";
import { OPENING } from "./rows/opening.ts";
import { PROVIDERS } from "./rows/providers.ts";
import { RECOVERY } from "./rows/recovery.ts";
import { REPLIES } from "./rows/replies.ts";
import { SECURITY } from "./rows/security.ts";

/** Each fault of a mail server, and what must happen then, in the order of the dialogue (contract §5). */
export const ROWS: readonly FaultRow[] = [
  ...OPENING,
  ...SECURITY,
  ...ENVELOPE,
  ...DATA,
  ...REPLIES,
  ...PROVIDERS,
  ...RECOVERY,
];
