import type { Script, SmtpServerOptions } from "./smtp-server.ts";

/** One message as the mail server saw it: from MAIL FROM to the end of the dialogue about it, or of the connection. */
export type SeenSend = { from: string; beganMs: number; endedMs: number };

export type SeenSends = {
  /** All of them, in the order of MAIL FROM; one still under way ends at infinity. */
  all: SeenSend[];
  /** For startSmtpServer. */
  smtp: SmtpServerOptions;
};

/** Has a mail server stamp what it sees by the given clock, and answer with `script` besides. */
export function seeSends(nowMs: () => number, script: Pick<Script, "onMail" | "onData"> = {}): SeenSends {
  const all: SeenSend[] = [];
  const underWay = new Map<string, SeenSend>();
  const end = (session: { id: string }) => {
    const send = underWay.get(session.id);
    if (send) send.endedMs = nowMs();
    underWay.delete(session.id);
  };
  return {
    all,
    smtp: {
      script: {
        onMail(from, session) {
          end(session);
          const send = { from, beganMs: nowMs(), endedMs: Number.POSITIVE_INFINITY };
          all.push(send);
          underWay.set(session.id, send);
          return script.onMail?.(from, session);
        },
        async onData(message) {
          const answer = await script.onData?.(message);
          end(message.session);
          return answer;
        },
      },
      server: { onClose: end },
    },
  };
}

/** The largest number in any rolling window: of those begun in it, of those ended in it, and of those that touch it at all. */
export function mostInWindow(sends: SeenSend[], windowMs: number): { begun: number; ended: number; touching: number } {
  const began = sends.map((send) => send.beganMs).toSorted((a, b) => a - b);
  const ended = sends.map((send) => send.endedMs).toSorted((a, b) => a - b);
  // A window that holds the most can be moved until a moment of the list is its last.
  const most = (moments: number[], count: (lastMs: number) => number) => Math.max(0, ...moments.map(count));
  return {
    begun: most(began, (lastMs) => countBetween(began, lastMs - windowMs, lastMs)),
    ended: most(ended, (lastMs) => countBetween(ended, lastMs - windowMs, lastMs)),
    touching: most(began, (lastMs) => countUpTo(began, lastMs) - countUpTo(ended, lastMs - windowMs)),
  };
}

function countBetween(sorted: number[], afterMs: number, upToMs: number): number {
  return countUpTo(sorted, upToMs) - countUpTo(sorted, afterMs);
}

/** How many are not later. */
function countUpTo(sorted: number[], ms: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) <= ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
