import * as v from "valibot";
import type { Limits } from "./account.ts";
import { type FieldIssue, fieldIssues } from "./issues.ts";
import { quote } from "./read.ts";
import { unknownFields } from "./unknown-fields.ts";

/** The tenant of all who name none. Its account `default`, and its client unless it has one here, are the configuration's. */
export const DEFAULT_TENANT = "default";

/** How a tenant's client is logged in to. */
export type ClientAuth =
  | { method: "none" }
  | { method: "basic"; user: string; password: string }
  | { method: "bearer"; token: string };

/** What an admin, and in part the tenant itself, says of a tenant. */
export type TenantFields = {
  name: string | null;
  /** Reports and `endpoint` attachments go below it; null: no client. */
  clientBaseUrl: string | null;
  clientSyncPath: string;
  clientAttachmentPath: string;
  clientAuth: ClientAuth;
  /** While false, nothing leaves and the client is not polled. */
  active: boolean;
  /** Over all its accounts together. */
  limits: Limits;
  /** `bucket` or `bucket/prefix`, as `s3.allow`; none: no object of S3. */
  s3Prefixes: readonly string[];
};

/** Fields that are absent stay as they are. */
export type TenantChange = Partial<Omit<TenantFields, "limits">> & { limits?: Partial<Limits> };

export const NEW_TENANT: TenantFields = {
  name: null,
  clientBaseUrl: null,
  clientSyncPath: "/proxy_sync",
  clientAttachmentPath: "/proxy_get_attachments",
  clientAuth: { method: "none" },
  active: true,
  limits: { perMinute: null, perHour: null, perDay: null, recipientsPerDay: null },
  s3Prefixes: [],
};

const text = () => v.string("Input should be a valid string");
const limit = () =>
  v.nullish(
    v.pipe(
      v.number("Input should be a number"),
      v.safeInteger("Input should be a whole number"),
      v.description("Null, 0 or less: no limit."),
    ),
  );

export const ClientAuthSchema = v.object(
  {
    method: v.nullish(v.picklist(["none", "basic", "bearer"], "Input should be 'none' or 'basic' or 'bearer'")),
    user: v.nullish(text()),
    password: v.nullish(text()),
    token: v.nullish(text()),
  },
  "Input should be an object",
);

const RateLimitsSchema = v.object(
  {
    limit_per_minute: limit(),
    limit_per_hour: limit(),
    limit_per_day: limit(),
    limit_recipients_per_day: limit(),
  },
  "Input should be an object",
);

/** The body of PUT /tenant/{id} by its shape; what the values say is checked by parseTenant. */
export const TenantChangeSchema = v.object({
  name: v.nullish(text()),
  client_base_url: v.nullish(v.pipe(text(), v.description("http or https, without credentials, query or fragment."))),
  client_sync_path: v.nullish(text()),
  client_attachment_path: v.nullish(text()),
  client_auth: v.nullish(ClientAuthSchema),
  active: v.nullish(v.boolean("Input should be a valid boolean")),
  rate_limits: v.nullish(RateLimitsSchema),
  s3_prefixes: v.nullish(
    v.pipe(
      v.array(text(), "Input should be a list"),
      v.description("`bucket` or `bucket/prefix` that its attachments may name; none: no object of S3."),
    ),
  ),
});

/** The body of POST /tenant. */
export const TenantSchema = v.object({ id: text(), ...TenantChangeSchema.entries });

export type ParsedTenant =
  | { ok: true; id: string; change: TenantChange; warnings: string[] }
  | { ok: false; issues: FieldIssue[] };

type RawChange = v.InferOutput<typeof TenantChangeSchema>;
type Refuse = (loc: (string | number)[], msg: string) => void;

/** The body of POST /tenant. */
export function parseTenant(raw: unknown): ParsedTenant {
  const parsed = v.safeParse(TenantSchema, raw);
  if (!parsed.success) return { ok: false, issues: fieldIssues(parsed.issues) };
  const { id, ...given } = parsed.output;
  const fault = faultOfTenantId(id);
  return read(raw as object, Object.keys(TenantSchema.entries), id, given, fault);
}

/** The body of PUT /tenant/{id}. */
export function parseTenantChange(raw: unknown): ParsedTenant {
  const parsed = v.safeParse(TenantChangeSchema, raw);
  if (!parsed.success) return { ok: false, issues: fieldIssues(parsed.issues) };
  return read(raw as object, Object.keys(TenantChangeSchema.entries), "", parsed.output, null);
}

function read(raw: object, known: string[], id: string, given: RawChange, idFault: string | null): ParsedTenant {
  const issues: FieldIssue[] = [];
  const refuse: Refuse = (loc, msg) => issues.push({ type: "value_error", loc, msg });
  if (idFault !== null) refuse(["id"], idFault);
  const change = toChange(given, refuse);
  if (issues.length > 0) return { ok: false, issues };
  return { ok: true, id, change, warnings: unknownFields(raw, known) };
}

/** Ids stand in paths, labels and logs. Null: none. */
function faultOfTenantId(id: string): string | null {
  if (id.trim() === "") return "must not be empty";
  if ([...id].length > 255) return "is longer than 255 characters";
  if (!id.isWellFormed() || /[\x00-\x1f\x7f]/.test(id)) return "has control characters, or is not well-formed Unicode";
  return id === "." || id === ".." ? `${quote(id)} cannot be asked for in a URL` : null;
}

/** Null and absent keep what is stored; an empty text or list takes it away. */
function toChange(given: RawChange, refuse: Refuse): TenantChange {
  const change: TenantChange = {};
  if (typeof given.name === "string") change.name = given.name.trim() || null;
  if (typeof given.client_base_url === "string") change.clientBaseUrl = readBaseUrl(given.client_base_url, refuse);
  if (given.client_sync_path) change.clientSyncPath = readPath(given.client_sync_path, "client_sync_path", refuse);
  if (given.client_attachment_path)
    change.clientAttachmentPath = readPath(given.client_attachment_path, "client_attachment_path", refuse);
  if (given.client_auth) change.clientAuth = readClientAuth(given.client_auth, ["client_auth"], refuse);
  if (typeof given.active === "boolean") change.active = given.active;
  if (given.rate_limits) change.limits = readLimits(given.rate_limits);
  if (given.s3_prefixes) change.s3Prefixes = readPrefixes(given.s3_prefixes, refuse);
  return change;
}

/** Those that are given; null, 0 or less: none from now on. */
function readLimits(given: NonNullable<RawChange["rate_limits"]>): Partial<Limits> {
  const { limit_per_minute, limit_per_hour, limit_per_day, limit_recipients_per_day } = given;
  return {
    ...(limit_per_minute !== undefined && { perMinute: positive(limit_per_minute) }),
    ...(limit_per_hour !== undefined && { perHour: positive(limit_per_hour) }),
    ...(limit_per_day !== undefined && { perDay: positive(limit_per_day) }),
    ...(limit_recipients_per_day !== undefined && { recipientsPerDay: positive(limit_recipients_per_day) }),
  };
}

function positive(number: number | null | undefined): number | null {
  return typeof number === "number" && number > 0 ? number : null;
}

/** Without its last slashes, since paths begin with one. */
function readBaseUrl(raw: string, refuse: Refuse): string | null {
  const given = raw.trim();
  if (given === "") return null;
  const url = URL.parse(given);
  const wrong = (msg: string) => refuse(["client_base_url"], msg);
  if (url === null || !/^https?:$/.test(url.protocol) || /[\x00-\x20\x7f\\]/.test(given))
    wrong("is not an http or https address");
  else if (url.username !== "" || url.password !== "" || given.includes("@"))
    wrong("has credentials in it: they belong in client_auth");
  else if (/[?#]/.test(given)) wrong("has a query or a fragment");
  return given.replace(/\/+$/, "");
}

function readPath(path: string, field: string, refuse: Refuse): string {
  if (!/^\/(?!\/)/.test(path)) refuse([field], "does not begin with one /");
  else if (/[\x00-\x20\x7f\\#?]/.test(path))
    refuse([field], "has blanks, control characters, \\, ? or # in it; secrets belong in client_auth");
  else if (!isBelow("http://client.invalid", path)) refuse([field], "leads to another host than client_base_url");
  return path;
}

/** Joined by concatenation, a path may change the host. */
function isBelow(baseUrl: string, path: string): boolean {
  const base = URL.parse(baseUrl);
  const joined = URL.parse(baseUrl + path);
  return base !== null && joined !== null && base.origin === joined.origin && joined.username === "";
}

/** Where a tenant's client is asked; null where its base URL and path do not give an address of that host. */
export function clientUrl(baseUrl: string, path: string): string | null {
  return isBelow(baseUrl, path) ? baseUrl + path : null;
}

/** Empty texts are absent ones. Of a fault, `none` is answered. */
export function readClientAuth(
  given: v.InferOutput<typeof ClientAuthSchema>,
  loc: (string | number)[],
  refuse: Refuse,
): ClientAuth {
  const { user, password, token } = given;
  const method = given.method ?? (token ? "bearer" : user ? "basic" : "none");
  const inHeader = (field: string, value: string) => {
    if (/[\x00-\x1f\x7f]/.test(value)) refuse([...loc, field], "has control characters");
  };
  if (method === "basic") {
    if (!user) refuse([...loc, "user"], "is wanted with method basic");
    else if (user.includes(":")) refuse([...loc, "user"], "has a : in it, which ends a user's name (RFC 7617)");
    inHeader("user", user ?? "");
    inHeader("password", password ?? "");
    return { method, user: user ?? "", password: password ?? "" };
  }
  if (method === "bearer") {
    if (!token) refuse([...loc, "token"], "is wanted with method bearer");
    else if (!/^[\x21-\x7e]+$/.test(token))
      refuse([...loc, "token"], "has blanks or other characters than printable ASCII");
    return { method, token: token ?? "" };
  }
  return { method: "none" };
}

/** RFC 7617 and RFC 6750; null: no header. */
export function authorizationOf(auth: ClientAuth): string | null {
  if (auth.method === "bearer") return `Bearer ${auth.token}`;
  if (auth.method === "basic") return `Basic ${Buffer.from(`${auth.user}:${auth.password}`).toString("base64")}`;
  return null;
}

/** As entries of `s3.allow`. */
function readPrefixes(given: string[], refuse: Refuse): string[] {
  for (const [index, entry] of given.entries())
    if (!/^[a-z0-9][a-z0-9._-]{1,253}[a-z0-9](\/.*)?$/i.test(entry))
      refuse(["s3_prefixes", index], `${quote(entry)} is neither bucket nor bucket/prefix`);
  return [...new Set(given)];
}

/** What an authorization header holds that is nobody's to see; a client may repeat it in its own words. */
export function secretsOfLogin(authorization: string | null): string[] {
  const [scheme, credentials = ""] = authorization?.split(" ") ?? [];
  const pair = scheme === "Basic" ? Buffer.from(credentials, "base64").toString() : "";
  return [credentials, pair.slice(pair.indexOf(":") + 1)].filter((one) => one !== "");
}
