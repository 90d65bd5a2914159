import type { Account } from "@async-mail/domain/account";
import type { Reply, SmtpStage } from "@async-mail/domain/outcome";
import type SMTPConnection from "nodemailer/lib/smtp-connection";
import { oneLine } from "./one-line.ts";
import type { SmtpError } from "./opening-step.ts";

/** Why no message could be begun: the account's fault, whatever it is. */
export type OpeningFailure = Extract<Reply, { kind: "unreachable" | "refused" }>;

/** The connection could not be had; `reply` says why. */
export class CannotOpen extends Error {
  override name = "CannotOpen";
  reply: OpeningFailure;

  constructor(reply: OpeningFailure) {
    super(reply.kind === "refused" ? reply.response : reply.reason);
    this.reply = reply;
  }
}

/** Steps whose refusal may be quoted: the peer has greeted as an SMTP server before them. */
const QUOTED: Record<string, SmtpStage> = { EHLO: "ehlo", HELO: "ehlo", STARTTLS: "starttls" };

/** What a failed connect means. Until the peer has greeted with 220, none of its words are in the text (contract §3.4). */
export function connectFailure(error: SmtpError, smtp: SMTPConnection, account: Account): OpeningFailure {
  const quoted = QUOTED[error.command ?? ""];
  if (quoted !== undefined && error.responseCode && error.response)
    return {
      kind: "refused",
      stage: quoted,
      code: error.responseCode,
      response: oneLine(error.response),
      recipients: [],
    };
  const stage = stageOf(error, smtp, account);
  const reason = `${account.host}:${account.port}: ${describe(stage, error)}`;
  return { kind: "unreachable", stage, reason, ...(stage === "greeting" ? greetingOf(error) : {}) };
}

/** The numbers of a greeting other than 220: a server that has too many connections says so here. */
function greetingOf({ response = "" }: SmtpError): { greeting?: { code: number; response: string } } {
  const numbers = /^(\d{3})[ -](\d\.\d{1,3}\.\d{1,3})?/.exec(response);
  return numbers === null ? {} : { greeting: { code: Number(numbers[1]), response: numbers[2] ?? "" } };
}

/** What a failed login means. Servers quote commands that they do not understand, and with them passwords. */
export function loginFailure(error: SmtpError, account: Account): OpeningFailure {
  const failure = describedLogin(error, account);
  return failure.kind === "refused"
    ? { ...failure, response: withoutSecrets(failure.response, account) }
    : { ...failure, reason: withoutSecrets(failure.reason, account) };
}

function withoutSecrets(text: string, { user, password }: Account): string {
  if (password === null) return text;
  const forms = [password, `\0${user}\0${password}`, `${user}\0${user}\0${password}`];
  const secrets = [...forms.map((form) => Buffer.from(form).toString("base64")), password];
  return secrets.reduce((masked, secret) => masked.replaceAll(secret, "***"), text);
}

function describedLogin(error: SmtpError, account: Account): OpeningFailure {
  if (error.responseCode && error.response)
    return {
      kind: "refused",
      stage: "auth",
      code: error.responseCode,
      response: oneLine(error.response),
      recipients: [],
    };
  return { kind: "unreachable", stage: "auth", reason: `${account.host}:${account.port}: ${describe("auth", error)}` };
}

const TLS_CODE = /^(ERR_SSL|ERR_TLS|EPROTO|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|HOSTNAME_MISMATCH|INVALID_CA)/;

function stageOf(error: SmtpError, smtp: SMTPConnection, { security }: Account): SmtpStage {
  if (error.code === "EDNS") return "dns";
  if (error.code === "ETLS" || error.timeoutType === "UPGRADE_TIMEOUT" || smtp.upgrading) return "tls";
  if (TLS_CODE.test(error.originalCode ?? "")) return "tls";
  if (smtp.stage === "init") return smtp.secureConnection && isConnected(smtp) ? "tls" : "connect";
  const last = String(smtp.lastServerResponse);
  if (!last.startsWith("2")) return "greeting";
  // Where it is offered, it is what was asked for next.
  return security !== "none" && /\bSTARTTLS\b/i.test(last) ? "starttls" : "ehlo";
}

function isConnected(smtp: SMTPConnection): boolean {
  return Boolean(smtp._socket) && !(smtp._socket as { connecting: boolean }).connecting;
}

function describe(stage: SmtpStage, error: SmtpError): string {
  const code = error.originalCode ?? error.code ?? "";
  const timedOut = error.code === "ETIMEDOUT";
  switch (stage) {
    case "dns":
      return `no address for this name (${code})`;
    case "connect":
      return timedOut ? "no connection in time" : `no connection (${code})`;
    case "tls":
      return timedOut ? "TLS was not established in time" : `TLS failed: ${tlsFault(code)}`;
    case "greeting":
      if (timedOut) return "no greeting in time";
      if (greetingOf(error).greeting !== undefined) return "its greeting is a refusal, not 220";
      return error.code === "EPROTOCOL" ? "does not greet as an SMTP server" : `closed before its greeting (${code})`;
    case "auth":
      return timedOut ? "no answer to the login in time" : `the login failed: ${oneLine(error.message)}`;
    default:
      if (timedOut) return `no answer to ${stage.toUpperCase()} in time`;
      if (code === "EPROTOCOL") return `its answer to ${stage.toUpperCase()} is no SMTP, or too long`;
      return `the connection broke after the greeting (${code})`;
  }
}

/** In our own words: OpenSSL's would name what the peer's certificate is for. */
function tlsFault(code: string): string {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return "the certificate is for another name; give tls_servername if that is as it should be";
  if (code === "CERT_HAS_EXPIRED") return "the certificate has expired";
  if (/^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/.test(code))
    return `the certificate is not trusted (${code}); give tls_ca if it is of a private CA`;
  return code === "ERR_SSL_WRONG_VERSION_NUMBER" ? "the server does not speak TLS on this port" : code;
}
