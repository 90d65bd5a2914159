import { isIP } from "node:net";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import type { Account } from "@async-mail/domain/account";
import type { SMTPConnectionOptions } from "nodemailer/lib/smtp-connection";

/**
 * How the connection is encrypted (contract §3.4). Certificates are verified wherever encryption is required or a
 * password will cross; only an opportunistic connection without a password takes any.
 */
export function tlsOptions(account: Account, configuredCa: string | null, ignoreTls: boolean): SMTPConnectionOptions {
  const { security } = account;
  const hasPassword = account.password !== null;
  // What a tenant's account connects to is an address; its certificate is to be that of the name.
  const named = account.restricted && isIP(account.host) === 0 ? account.host : null;
  const servername = account.tlsServername ?? named;
  const ca = account.tlsCa ?? configuredCa;
  return {
    secure: security === "tls",
    requireTLS: security === "starttls",
    ignoreTLS: security === "none" || ignoreTls,
    opportunisticTLS: security === "opportunistic" && !hasPassword,
    tls: {
      rejectUnauthorized: security === "tls" || security === "starttls" || hasPassword,
      ...(ca === null ? {} : { secureContext: trusting(ca) }),
      ...(servername === null ? {} : { servername }),
    },
  };
}

/** A context takes milliseconds to build, so each CA's is kept; accounts with one of their own are few. */
const contexts = new Map<string, SecureContext>();
const CONTEXTS = 100;

/** The private CA beside the public ones: a configured one must not cut the other accounts off. */
function trusting(ca: string): SecureContext {
  const known = contexts.get(ca);
  if (known !== undefined) return known;
  if (contexts.size >= CONTEXTS) contexts.clear();
  const context = createSecureContext({ ca: [...getCACertificates("default"), ca] });
  contexts.set(ca, context);
  return context;
}
