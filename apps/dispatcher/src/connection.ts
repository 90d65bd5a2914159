import type { Socket } from "node:net";
import type { Account } from "@async-mail/domain/account";
import type { Reply } from "@async-mail/domain/outcome";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { MayCrossInClear } from "./clear-passwords.ts";
import type { Composed } from "./composed.ts";
import { timerMs } from "./longest-timer.ts";
import { CannotOpen, connectFailure, loginFailure } from "./opening-failure.ts";
import { openingStep } from "./opening-step.ts";
import { createSession, QUIT_MS, type Session } from "./session.ts";
import type { TenantEgress } from "./tenant-egress.ts";
import { tlsOptions } from "./tls-options.ts";
import {
  type Begun,
  beginMessage,
  type Finishing,
  finishMessage,
  notToBeAsked,
  type ReplyTimeouts,
} from "./transaction.ts";

/** One SMTP session, logged in, for one message after another. */
export type Connection = {
  /** Messages begun on it. */
  used: number;
  openedMs: number;
  alive(): boolean;
  /** Whether the server, by its EHLO, is to be asked about this message at all. */
  takes(composed: Composed): boolean;
  /** Its server answers final dots at once, so that the next message may wait for one. */
  brisk(): boolean;
  begin(composed: Composed): Begun;
  /** Never throws. */
  finish(begun: Begun, finishing: Finishing): Promise<Reply>;
  /** Ready for the next message; false when the connection is of no more use. */
  reset(): Promise<boolean>;
  /** Ends it in good order, however long the server lets us wait (a few seconds at most). */
  quit(): void;
  /** Ends it now; whatever was under way answers. */
  cut(reason: string): void;
  /** Resolves when it is closed on both sides. */
  closed: Promise<void>;
};

export type ConnectionOptions = {
  ehloName: string;
  /** PEM of the configuration's private CA, for accounts without one of their own. */
  tlsCa: string | null;
  mayCrossInClear: MayCrossInClear;
  /** Where tenants' accounts may connect. */
  tenantEgress: TenantEgress;
  /** For the answer to a message's final dot. */
  dataReplyTimeoutMs: number;
  monotonicMs(): number;
};

/** For connecting and for each reply until the message is handed over, unless the account says otherwise. */
const TIMEOUT_MS = 30_000;

/** A server that takes longer for a final dot may take longer still for the next one. */
const BRISK_MS = 500;

/** Connects, encrypts as the account wants it, and logs in; throws CannotOpen, or the signal's reason when aborted. */
export async function openConnection(
  account: Account,
  options: ConnectionOptions,
  signal?: AbortSignal,
): Promise<Connection> {
  // A handshake that fails where encryption is only a bonus leaves the way in clear, as other mail servers do.
  try {
    return await open(account, options, false, signal);
  } catch (error) {
    if (!(error instanceof CannotOpen) || !mayGoWithoutTls(account, error)) throw error;
    return await open(account, options, true, signal);
  }
}

function mayGoWithoutTls(account: Account, { reply }: CannotOpen): boolean {
  return account.security === "opportunistic" && account.password === null && reply.stage === "tls";
}

async function open(
  account: Account,
  options: ConnectionOptions,
  ignoreTls: boolean,
  signal?: AbortSignal,
): Promise<Connection> {
  signal?.throwIfAborted();
  const timeoutMs = timerMs(account.timeoutSeconds === null ? TIMEOUT_MS : account.timeoutSeconds * 1000);
  const host = account.restricted ? await options.tenantEgress(account) : account.host;
  signal?.throwIfAborted();
  const smtp = new SMTPConnection({
    host,
    port: account.port,
    name: options.ehloName,
    allowInternalNetworkInterfaces: true,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    socketCloseTimeout: QUIT_MS,
    ...tlsOptions(account, options.tlsCa, ignoreTls),
  });
  // Whoever waits for something listens for itself; an idle connection may fail without anyone's concern.
  smtp.on("error", () => {});
  const onAbort = () => cut(smtp);
  signal?.addEventListener("abort", onAbort);
  try {
    await connect(smtp, account, timeoutMs);
    await login(smtp, account, options.mayCrossInClear, timeoutMs);
  } catch (error) {
    smtp.close();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
  const session = createSession(socketOf(smtp) as Socket, offeredBy(smtp));
  return connectionOf(session, options.monotonicMs, { replyMs: timeoutMs, dataReplyMs: options.dataReplyTimeoutMs });
}

function cut(smtp: SMTPConnection): void {
  const socket = socketOf(smtp);
  if (!smtp.destroyed) smtp.emit("error", new Error("no longer wanted"));
  smtp.close();
  socket?.destroy();
}

/** nodemailer's note of the EHLO that holds, which it shows in no other way: a line for each extension. */
function offeredBy(smtp: SMTPConnection): string[] {
  return (smtp as unknown as { _ehloLines?: string[] })._ehloLines ?? [];
}

function socketOf(smtp: SMTPConnection): Socket | null {
  return smtp._socket || null;
}

async function connect(smtp: SMTPConnection, account: Account, timeoutMs: number): Promise<void> {
  try {
    // Each part has its own time-out; this one is for a peer that drips.
    await openingStep(smtp, timeoutMs * 3, (done) => smtp.connect(done));
  } catch (error) {
    throw new CannotOpen(connectFailure(error as Error, smtp, account));
  }
}

async function login(
  smtp: SMTPConnection,
  account: Account,
  mayCrossInClear: MayCrossInClear,
  timeoutMs: number,
): Promise<void> {
  const { user, password } = account;
  if (user === null || password === null) return;
  const address = socketOf(smtp)?.remoteAddress ?? "";
  const inClear = !smtp.secure && account.security !== "none";
  if (inClear && !mayCrossInClear(account.host, address))
    throw authImpossible(
      account,
      "the connection is not encrypted, so the password was not sent; use security starttls or tls, or name the host in smtp.plain_auth_hosts",
    );
  if (!smtp.allowsAuth)
    throw authImpossible(account, "the server offers no AUTH; remove the account's user and password if it needs none");
  try {
    await openingStep(smtp, timeoutMs * 3, (done) => smtp.login({ user, pass: password }, done));
  } catch (error) {
    throw new CannotOpen(loginFailure(error as Error, account));
  }
}

function authImpossible(account: Account, why: string): CannotOpen {
  return new CannotOpen({ kind: "unreachable", stage: "auth", reason: `${account.host}:${account.port}: ${why}` });
}

function connectionOf(session: Session, monotonicMs: () => number, timeouts: ReplyTimeouts): Connection {
  const { closed, alive, quit, cut } = session;
  let answeredWithinMs = Number.POSITIVE_INFINITY; // no final dot was answered yet
  const connection: Connection = {
    used: 0,
    openedMs: monotonicMs(),
    closed,
    alive,
    quit,
    cut,
    takes: (composed) => notToBeAsked(session, composed) === null,
    brisk: () => answeredWithinMs <= BRISK_MS,
    begin: (composed) => {
      connection.used += 1;
      return beginMessage(session, composed, timeouts.replyMs);
    },
    finish: async (begun, { mayEnd, follow }) => {
      let endedMs = Number.NEGATIVE_INFINITY;
      const ending = () => {
        endedMs = monotonicMs();
        follow();
      };
      const reply = await finishMessage(session, begun, { mayEnd, follow: ending }, timeouts);
      answeredWithinMs = monotonicMs() - endedMs;
      return reply;
    },
    reset: () => reset(session, timeouts.replyMs),
  };
  return connection;
}

async function reset(session: Session, replyMs: number): Promise<boolean> {
  try {
    const [reply] = await session.ask("RSET\r\n", 1, replyMs);
    return session.alive() && reply?.code === 250;
  } catch {
    // Whatever the reason, a session that cannot be reset carries no other message.
    return false;
  }
}
