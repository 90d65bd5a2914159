import type { Composer } from "@async-mail/dispatcher/composer";
import { type ParseContext, parseMessage } from "@async-mail/domain/message";
import fc from "fast-check";
import { faultsOfMail } from "./check-mail.ts";
import { classOfReason, faultsOfRefusal } from "./check-refusal.ts";
import { hostileMessage } from "./hostile-message.ts";
import { DATE_MS, writtenMail } from "./written-mail.ts";

export type HostileRun = {
  accepted: number;
  /** How many for each kind of reason. */
  refused: Map<string, number>;
  /** The smallest message that fails, and why; null: none did. */
  failure: string | null;
};

const context: ParseContext = {
  now: DATE_MS,
  defaultPriority: 2,
  newMessageId: (domain) => `<new@${domain}>`,
  s3Allow: [],
  maxAttachmentBytes: 1_000_000,
  tenantS3: null,
  endpoint: false,
};

/** Posts `cases` messages of a hostile client's. The same seed makes the same ones. */
export async function hostileRun(composer: Composer, cases: number, seed: number): Promise<HostileRun> {
  const run: HostileRun = { accepted: 0, refused: new Map(), failure: null };
  const property = fc.asyncProperty(hostileMessage, async (raw) => {
    const faults = await faultsOf(composer, raw, run);
    if (faults.length > 0) throw new Error(faults.join("\n"));
  });
  const result = await fc.check(property, { numRuns: cases, seed, endOnFailure: false });
  if (result.failed) run.failure = `${result.errorInstance}\n${fc.defaultReportMessage(result)}`;
  return run;
}

async function faultsOf(composer: Composer, raw: unknown, run: HostileRun): Promise<string[]> {
  const parsed = parseMessage(raw, context);
  if (parsed.ok) {
    run.accepted += 1;
    return await faultsOfMail(parsed.message, await writtenMail(composer, parsed.message));
  }
  const { reason } = parsed.rejection;
  run.refused.set(classOfReason(reason), (run.refused.get(classOfReason(reason)) ?? 0) + 1);
  return faultsOfRefusal(reason);
}
