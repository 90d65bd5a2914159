import * as v from "valibot";
import { ClientAuthSchema } from "./tenant.ts";

const text = () => v.string("not a string");
const optionalText = () => v.nullish(text());
const addresses = () => v.union([v.string(), v.array(v.string())], "neither a string nor a list of strings");
const seconds = () => v.number("not a number");

/** Contract §6, by its shape alone; exactly one of content, url, storage_path and s3 is checked behind it. */
export const AttachmentSchema = v.object(
  {
    filename: optionalText(),
    content_type: optionalText(),
    content_id: optionalText(),
    content: v.nullish(v.pipe(text(), v.description("Base64."))),
    url: v.nullish(v.pipe(text(), v.description("http or https."))),
    storage_path: v.nullish(
      v.pipe(text(), v.description("Where the tenant's client keeps the file, an http or https address, or base64.")),
    ),
    fetch_mode: v.nullish(
      v.pipe(
        v.picklist(["endpoint", "http_url", "base64"], "none of endpoint, http_url and base64"),
        v.description("Of storage_path. Absent: by its beginning."),
      ),
    ),
    mime_type: v.nullish(v.pipe(text(), v.description("content_type, by another name."))),
    content_md5: v.nullish(v.pipe(text(), v.description("A kept file with this MD5 is used without asking for it."))),
    auth: v.nullish(v.pipe(ClientAuthSchema, v.description("The login for url and storage_path."))),
    s3: v.nullish(v.object({ bucket: text(), key: text(), version_id: optionalText() }, "not an object")),
  },
  "not an object",
);

export const ListUnsubscribeSchema = v.object(
  {
    url: v.nullish(v.pipe(text(), v.description("http or https."))),
    mailto: v.nullish(v.pipe(text(), v.description("An address, or a mailto URI with a subject."))),
    one_click: v.nullish(
      v.pipe(
        v.boolean("neither true nor false"),
        v.description("Whether a POST to url is enough (RFC 8058). Absent: with an https url."),
      ),
    ),
  },
  "not an object",
);

/** One message of add-messages (contract §3.3) by its shape alone; what the values say is checked by parseMessage. */
export const MessageSchema = v.object(
  {
    id: v.pipe(text(), v.description("The client's own; at most 255 characters.")),
    tenant_id: v.nullish(v.pipe(text(), v.description("Whose message it is, where the token does not say it."))),
    account_id: v.nullish(v.pipe(text(), v.description("Absent: the default account."))),
    batch_code: v.nullish(v.pipe(text(), v.description("Suspend and activate can name it; at most 64 characters."))),
    from: text(),
    to: addresses(),
    cc: v.nullish(addresses()),
    bcc: v.nullish(addresses()),
    reply_to: v.nullish(addresses()),
    return_path: v.nullish(
      v.pipe(text(), v.description("MAIL FROM; <> is the null sender. Absent: the address of from.")),
    ),
    subject: text(),
    body: optionalText(),
    html: v.nullish(v.pipe(text(), v.description("With body as its plain alternative."))),
    content_type: v.nullish(v.pipe(text(), v.description("Of body: plain (default) or html."))),
    headers: v.nullish(
      v.record(v.string(), v.nullable(v.union([v.string(), v.number()], "neither text nor a number")), "not an object"),
    ),
    list_unsubscribe: v.nullish(
      v.pipe(ListUnsubscribeSchema, v.description("The headers List-Unsubscribe and List-Unsubscribe-Post.")),
    ),
    message_id: optionalText(),
    attachments: v.nullish(v.array(AttachmentSchema, "not a list")),
    priority: v.nullish(
      v.pipe(
        v.union([v.number(), v.string()], "neither a number nor a string"),
        v.description("0 immediate, 1 high, 2 medium, 3 low; a number, numeric text or the word."),
      ),
    ),
    deferred_ts: v.nullish(v.pipe(seconds(), v.description("Epoch seconds; not sent before."))),
    expires_ts: v.nullish(v.pipe(seconds(), v.description("Epoch seconds; not worth sending after."))),
    on_ambiguous: v.nullish(v.picklist(["retry", "fail"], "neither retry nor fail")),
  },
  "not an object",
);

export type RawMessage = v.InferOutput<typeof MessageSchema>;
export type RawAttachment = v.InferOutput<typeof AttachmentSchema>;

export const MESSAGE_FIELDS = Object.keys(MessageSchema.entries);
export const ATTACHMENT_FIELDS = Object.keys(AttachmentSchema.entries);
export const LIST_UNSUBSCRIBE_FIELDS = Object.keys(ListUnsubscribeSchema.entries);
export const S3_FIELDS = ["bucket", "key", "version_id"];
