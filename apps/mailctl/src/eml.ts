import PostalMime, { type Address, type Attachment, type Email } from "postal-mime";
import { Refused } from "./faults.ts";

/** Written anew by the service, or about the way by which the file came here. */
const NOT_TAKEN =
  /^(from|to|cc|bcc|reply-to|sender|return-path|subject|date|message-id|mime-version|content-.*|received.*|delivered-to|x-original-to|dkim-signature|domainkey-signature|arc-.*|authentication-results|x-google-.*|list-unsubscribe(-post)?)$/;

/** An .eml file as the fields of a message; what is not in it is left out. */
export async function readEml(bytes: Uint8Array): Promise<Record<string, unknown>> {
  const mail = await parsed(bytes);
  const listed = (addresses: Address[] | undefined) => mailboxes(addresses ?? []);
  const body: Record<string, unknown> = {
    from: listed(mail.from ? [mail.from] : [])[0],
    to: listed(mail.to),
    cc: listed(mail.cc),
    bcc: listed(mail.bcc),
    reply_to: listed(mail.replyTo),
    subject: mail.subject ?? "",
    body: mail.text,
    html: mail.html,
    message_id: mail.messageId,
    headers: otherHeaders(mail),
    list_unsubscribe: listUnsubscribe(mail),
    attachments: mail.attachments.map(toAttachment),
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => !isEmpty(value)));
}

async function parsed(bytes: Uint8Array): Promise<Email> {
  const mail = await PostalMime.parse(bytes, { attachmentEncoding: "base64", forceRfc822Attachments: true });
  if (mail.headers.length > 0) return mail;
  throw new Refused("it is no mail: wanted an .eml file, which begins with headers");
}

function isEmpty(value: unknown): boolean {
  if (value === undefined) return true;
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function mailboxes(addresses: Address[]): string[] {
  return addresses.flatMap((one) => one.group ?? [one]).map(({ name, address }) => mailbox(name, address));
}

function mailbox(name: string, address: string): string {
  return name === "" ? address : `"${name.replaceAll(/["\\]/g, "\\$&")}" <${address}>`;
}

/** Such as In-Reply-To, or those of one's own. */
function otherHeaders({ headers }: Email): Record<string, string> {
  const taken = headers.filter(({ key }) => !NOT_TAKEN.test(key));
  return Object.fromEntries(taken.map(({ originalKey, value }) => [originalKey, value.trim()]));
}

function listUnsubscribe({ headers }: Email): Record<string, string> | undefined {
  const text = headers.find(({ key }) => key === "list-unsubscribe")?.value ?? "";
  const uris = [...text.matchAll(/<([^>]+)>/g)].map((match) => match[1] ?? "");
  const url = uris.find((uri) => /^https?:/i.test(uri));
  const mailto = uris.find((uri) => /^mailto:/i.test(uri));
  return url || mailto ? { ...(url && { url }), ...(mailto && { mailto }) } : undefined;
}

function toAttachment({
  filename,
  mimeType,
  method,
  contentId,
  related,
  content,
}: Attachment): Record<string, unknown> {
  return {
    ...(filename && { filename }),
    content_type: method === undefined ? mimeType : `${mimeType}; method=${method}`,
    ...(related && contentId && { content_id: contentId.replace(/^<(.*)>$/, "$1") }),
    content: content as string,
  };
}
