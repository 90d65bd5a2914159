import * as v from "valibot";

const text = () => v.string("Input should be a valid string");
const whole = () => v.pipe(v.number("Input should be a number"), v.safeInteger("Input should be a whole number"));
const limit = () => v.nullish(v.pipe(whole(), v.description("Null, 0 or less: no limit.")));
const orDefault = (meaning: string) =>
  v.nullish(v.pipe(whole(), v.description(`${meaning} Null, 0 or less: the default.`)));
const oneOf = <const T extends string[]>(...words: T) =>
  v.picklist(words, `Input should be ${words.map((word) => `'${word}'`).join(" or ")}`);

/** The body of POST /account (contract §3.4) by its shape; what follows from the values is derived by parseAccount. */
export const AccountSchema = v.object({
  id: text(),
  tenant_id: v.nullish(v.pipe(text(), v.description("Whose account it is, where the token does not say it."))),
  host: text(),
  port: orDefault("By default 465 for tls, else 587."),
  user: v.nullish(text()),
  password: v.nullish(v.pipe(text(), v.description("Absent: the stored one stays. Empty: none."))),
  use_tls: v.nullish(v.boolean("Input should be a valid boolean")),
  security: v.nullish(
    v.pipe(oneOf("tls", "starttls", "opportunistic", "none"), v.description("By default as use_tls and port say.")),
  ),
  ttl: orDefault("How long one connection may be used, in seconds (300)."),
  limit_per_minute: limit(),
  limit_per_hour: limit(),
  limit_per_day: limit(),
  limit_recipients_per_day: limit(),
  limit_behavior: v.nullish(oneOf("defer", "reject")),
  max_connections: orDefault("Open at once over all dispatchers."),
  batch_size: orDefault("Messages taken by one claim."),
  timeout: v.nullish(
    v.pipe(
      v.number("Input should be a number"),
      v.description("Seconds for connecting and for each reply. Null, 0 or less: the default."),
    ),
  ),
  tls_ca: v.nullish(v.pipe(text(), v.description("PEM text of a private CA."))),
  tls_servername: v.nullish(text()),
  on_ambiguous: v.nullish(oneOf("retry", "fail")),
  auth: v.pipe(v.optional(v.unknown()), v.description("Reserved for OAuth2.")),
});

export type RawAccount = v.InferOutput<typeof AccountSchema>;

export const ACCOUNT_FIELDS = Object.keys(AccountSchema.entries);
