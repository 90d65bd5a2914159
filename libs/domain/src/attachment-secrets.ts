import type { StoredAttachment } from "./attachment.ts";
import type { Payload } from "./payload.ts";
import type { ClientAuth } from "./tenant.ts";

/** What of an attachment's address and login may be seen by nobody but who fetches it. */
type Secret = { url?: string; storage_path?: string; auth?: ClientAuth };

/** By the attachment's index. */
export type AttachmentSecrets = Record<string, Secret>;

/** Of a login it shows the kind, so that none can be made of it. */
export type ShownAttachment = Omit<StoredAttachment, "auth"> & { auth?: Pick<ClientAuth, "method"> };

export type ShownPayload = Omit<Payload, "attachments"> & { attachments?: ShownAttachment[] };

/** A payload as records show it and as it is kept in clear, and what `withSecrets` makes it whole with; null: it is whole. */
export function withoutSecrets(payload: Payload): { shown: ShownPayload; secrets: AttachmentSecrets | null } {
  const found = (payload.attachments ?? []).map(secretOf);
  if (found.every((secret) => secret === null)) return { shown: payload, secrets: null };
  const attachments = (payload.attachments ?? []).map((one, i) => ({ ...one, ...shownFor(found[i] ?? {}) }));
  const secrets = found.flatMap((secret, index) => (secret === null ? [] : [[index, secret] as const]));
  return { shown: { ...payload, attachments }, secrets: Object.fromEntries(secrets) };
}

export function withSecrets(shown: ShownPayload, secrets: AttachmentSecrets | null): Payload {
  if (secrets === null || shown.attachments === undefined) return shown as Payload;
  const attachments = shown.attachments.map((one, index) => ({ ...one, ...secrets[index] }) as StoredAttachment);
  return { ...shown, attachments };
}

function secretOf({ url, storage_path, fetch_mode, auth }: StoredAttachment): Secret | null {
  const secret: Secret = {};
  if (url !== undefined && holdsSecret(url)) secret.url = url;
  if (storage_path !== undefined && (fetch_mode === "http_url" ? holdsSecret(storage_path) : maySign(storage_path)))
    secret.storage_path = storage_path;
  if (auth !== undefined && auth.method !== "none") secret.auth = auth;
  return Object.keys(secret).length > 0 ? secret : null;
}

function shownFor({ url, storage_path, auth }: Secret) {
  return {
    ...(url !== undefined && { url: maskedUrl(url) }),
    ...(storage_path !== undefined && { storage_path: maskedUrl(storage_path) }),
    ...(auth !== undefined && { auth: { method: auth.method } }),
  };
}

/** Anything but host and path; of what is no URL nobody knows. */
function holdsSecret(url: string): boolean {
  const { username, password, host = "", search, hash } = URL.parse(url) ?? {};
  return host === "" || [username, password, search, hash].some((part) => part !== "");
}

/** Of a path in the client's storage: it has a query, or a login as URLs have it, with a scheme or without. */
export function maySign(path: string): boolean {
  const { username = "", password = "" } = URL.parse(path) ?? {};
  return path.includes("?") || username !== "" || password !== "" || /[\\/]{2}[^\\/]*@/.test(path);
}

/**
 * URLs may carry passwords and signatures: those of S3 are as good as keys. Never cut out of the text itself: URL
 * parsing finds a password in `http:\\user:password@host` too.
 */
export function maskedUrl(url: string): string {
  const { protocol, username, password, host, pathname, search, hash } = URL.parse(url) ?? {};
  if (host === undefined || host === "") return "***";
  const user = username === "" && password === "" ? "" : "***@";
  const rest = search === "" && hash === "" ? "" : "?***";
  return `${protocol}//${user}${host}${pathname}${rest}`;
}
