import { randomUUID } from "node:crypto";
import { type ClientAuth, DEFAULT_TENANT, type TenantChange } from "@async-mail/domain/tenant";
import { type Instant, toWallMs } from "@async-mail/domain/time";
import type { Database } from "better-sqlite3";
import type { SyncStatus, Tenant, TenantClient, TenantDirectory } from "../store.ts";
import { deleteAccount, endOrphans } from "./accounts.ts";
import type { Engine } from "./engine.ts";
import { anyToPurge, purgeFinal } from "./purge.ts";
import { NotOpened } from "./sealing.ts";
import { statement } from "./statement.ts";
import { closedBy, limitsOf, loadTenant, type TenantRow } from "./tenant-row.ts";
import type { Tx } from "./tx.ts";
import { clientSecretOf, type Vault } from "./vault.ts";

const FIND = "SELECT tenant FROM tenants WHERE id = ? AND deleted_ms IS NULL";
const BY_KEY = "SELECT tenant FROM tenants WHERE key_hash = ? AND key_hash IS NOT NULL";
const LIST = "SELECT tenant FROM tenants WHERE deleted_ms IS NULL ORDER BY id";
const TAKEN =
  "SELECT 1 FROM tenants WHERE tenant = @tenant UNION ALL SELECT 1 FROM former_tenants WHERE tenant = @tenant LIMIT 1";
const KNOWN = "SELECT 1 FROM tenants WHERE tenant = ?";
const INSERT = "INSERT INTO tenants (tenant, id, created_ms, updated_ms) VALUES (@tenant, @id, @wallMs, @wallMs)";
const CLIENTS =
  "SELECT t.tenant, t.id, t.deleted_ms AS deletedMs, t.client_base_url AS baseUrl, t.client_sync_path AS syncPath, t.client_auth_method AS clientAuthMethod, " +
  "t.client_user AS clientUser, t.client_secret AS clientSecret, t.active, t.suspended_by AS suspendedBy, t.run_now AS runNowCount, " +
  "(SELECT min(report_ms) FROM messages WHERE tenant_id = t.tenant AND report_ms IS NOT NULL) AS nextReportMs " +
  `FROM tenants t WHERE t.client_base_url IS NOT NULL OR t.tenant = '${DEFAULT_TENANT}' ORDER BY t.key`;
const FORGET_CLIENT = "DELETE FROM clients WHERE tenant_id = ?";
const CALLS =
  "SELECT called_ms AS calledMs, outcome, next_call_ms AS nextMs, quiet_until_ms AS quietMs FROM clients WHERE tenant_id = ?";
const ACCOUNTS_OF = "SELECT q.key FROM queues q JOIN accounts a ON a.queue = q.key WHERE q.tenant_id = ?";
const UNENDED = "SELECT key FROM queues WHERE tenant_id = ? AND pending > in_flight";

const DELETED = "SELECT tenant FROM tenants WHERE deleted_ms IS NOT NULL";
const UNFINISHED = "SELECT 1 FROM queues WHERE tenant_id = ? AND pending > 0 LIMIT 1";
const CONNECTED =
  "SELECT 1 FROM queues q JOIN connections c ON c.queue = q.key WHERE q.tenant_id = ? AND c.reserved > 0 LIMIT 1";
/** In this order: what belongs to a queue is found through it. */
const FORGET = [
  "DELETE FROM sends WHERE queue IN (SELECT key FROM queues WHERE tenant_id = ?)",
  "DELETE FROM connections WHERE queue IN (SELECT key FROM queues WHERE tenant_id = ?)",
  "DELETE FROM verifications WHERE queue IN (SELECT key FROM queues WHERE tenant_id = ?)",
  "DELETE FROM queues WHERE tenant_id = ?",
  "DELETE FROM suspensions WHERE tenant_id = ?",
  "DELETE FROM clients WHERE tenant_id = ?",
];
const FORGET_COUNTS = "DELETE FROM sends WHERE queue = ?";
const FORGET_TENANT = "DELETE FROM tenants WHERE tenant = ?";
const REMEMBER_NAME = "INSERT INTO former_tenants (tenant) VALUES (?) ON CONFLICT DO NOTHING";

type AuthRow = Pick<TenantRow, "tenant" | "clientAuthMethod" | "clientUser" | "clientSecret">;
type ClientRow = AuthRow &
  Pick<TenantRow, "id" | "deletedMs" | "active" | "suspendedBy"> &
  Pick<TenantClient, "baseUrl" | "syncPath" | "runNowCount" | "nextReportMs">;

/** Messages ended in one transaction when their tenant is deleted. */
const ENDED_AT_ONCE = 250;

export function tenantDirectory({ db, writer, vault }: Engine): TenantDirectory {
  const load = (sql: string, value: string) =>
    writer.read(() => {
      const tenant = statement<string>(db, sql).pluck().get(value);
      return tenant === undefined ? null : toTenant(vault, loadTenant(db, tenant));
    });

  /** False: unknown. */
  function changeRow(
    id: string,
    work: (tx: Tx, row: TenantRow) => void,
    now: Instant,
    only?: string,
  ): Promise<boolean> {
    return writer.write(now, (tx) => {
      const tenant = statement<string>(tx.db, FIND).pluck().get(id);
      if (tenant === undefined || (only !== undefined && tenant !== only)) return false;
      const row = tx.tenant(tenant);
      row.updatedMs = tx.now.wallMs;
      work(tx, row);
      return true;
    });
  }

  return {
    find: (id) => load(FIND, id),
    byKey: (keyHash) => load(BY_KEY, keyHash),
    list: () =>
      writer.read(() =>
        statement<string>(db, LIST)
          .pluck()
          .all()
          .map((tenant) => toTenant(vault, loadTenant(db, tenant))),
      ),
    put: (id, change, keyHash, now) =>
      writer.write(now, (tx) => {
        const row = tx.tenant(statement<string>(tx.db, FIND).pluck().get(id) ?? insert(tx, id));
        row.updatedMs = tx.now.wallMs;
        apply(tx, row, change);
        row.keyHash = keyHash;
      }),
    change: (id, change, now, only) => changeRow(id, (tx, row) => apply(tx, row, change), now, only),
    setKey: (id, keyHash, now) =>
      changeRow(
        id,
        (_, row) => {
          row.keyHash = keyHash;
        },
        now,
      ),

    async remove(id, now) {
      let tenant = "";
      const known = await changeRow(
        id,
        (tx, row) => {
          tenant = row.tenant;
          row.keyHash = null;
          row.deletedMs = tx.now.wallMs;
          for (const key of statement<number>(tx.db, ACCOUNTS_OF).pluck().all(row.tenant))
            deleteAccount(tx, tx.queue(key));
        },
        now,
      );
      if (known) while ((await writer.write(now, (tx) => endSome(tx, tenant))) > 0);
      return known;
    },

    syncStatus: (now) =>
      writer.read(() =>
        statement<string>(db, LIST)
          .pluck()
          .all()
          .map((tenant) => {
            const { id, reportsWaiting } = loadTenant(db, tenant);
            const wall = (ms: number | null) => (ms === null ? null : toWallMs(ms, now));
            type Calls = Record<"calledMs" | "nextMs" | "quietMs", number | null> & { outcome: string | null };
            const calls = statement<Calls>(db, CALLS).get(tenant);
            return {
              id,
              lastCallMs: wall(calls?.calledMs ?? null),
              outcome: calls?.outcome ?? null,
              nextDueMs: wall(calls?.nextMs ?? null),
              quietUntilMs: wall(calls?.quietMs ?? null),
              reportsWaiting,
            } satisfies SyncStatus;
          }),
      ),

    clients: () =>
      writer.read(() =>
        statement<ClientRow>(db, CLIENTS)
          .all()
          .map((row) => toClient(vault, row)),
      ),

    sources: (tenant) =>
      writer.read(() => {
        if (statement(db, KNOWN).get(tenant) === undefined) return null;
        const { id, clientBaseUrl, clientAttachmentPath, clientAuth, s3Prefixes } = toTenant(
          vault,
          loadTenant(db, tenant),
        );
        return { id, baseUrl: clientBaseUrl, attachmentPath: clientAttachmentPath, auth: clientAuth, s3Prefixes };
      }),
  };
}

/**
 * Answers what its rows are named by, which no tenant ever was before: mail, files that are kept and calls under way of
 * a deleted one of that id are not the new one's.
 */
function insert(tx: Tx, id: string): string {
  const isTaken = (tenant: string) => statement(tx.db, TAKEN).get({ tenant }) !== undefined;
  const tenant = isTaken(id) ? `${id} ${randomUUID()}` : id;
  statement(tx.db, FORGET_CLIENT).run(tenant); // of one that was forgotten while it was called
  statement(tx.db, INSERT).run({ tenant, id, wallMs: tx.now.wallMs });
  return tenant;
}

function apply({ vault }: Tx, row: TenantRow, change: TenantChange): void {
  const { name, clientBaseUrl, clientSyncPath, clientAttachmentPath, clientAuth, active, limits, s3Prefixes } = change;
  if (name !== undefined) row.name = name;
  if (clientBaseUrl !== undefined) row.clientBaseUrl = clientBaseUrl;
  if (clientSyncPath !== undefined) row.clientSyncPath = clientSyncPath;
  if (clientAttachmentPath !== undefined) row.clientAttachmentPath = clientAttachmentPath;
  if (clientAuth !== undefined) setAuth(vault, row, clientAuth);
  if (active !== undefined) row.active = active ? 1 : 0;
  if (s3Prefixes !== undefined) row.s3Prefixes = JSON.stringify(s3Prefixes);
  if (limits?.perMinute !== undefined) row.limitPerMinute = limits.perMinute;
  if (limits?.perHour !== undefined) row.limitPerHour = limits.perHour;
  if (limits?.perDay !== undefined) row.limitPerDay = limits.perDay;
  if (limits?.recipientsPerDay !== undefined) row.limitRecipientsPerDay = limits.recipientsPerDay;
}

function setAuth(vault: Vault, row: TenantRow, auth: ClientAuth): void {
  row.clientAuthMethod = auth.method;
  row.clientUser = auth.method === "basic" ? auth.user : null;
  const secret = auth.method === "basic" ? auth.password : auth.method === "bearer" ? auth.token : null;
  row.clientSecret = secret === null ? null : vault.seal(secret, clientSecretOf(row.tenant));
}

function authOf(vault: Vault, row: AuthRow): ClientAuth {
  const { clientAuthMethod: method, clientUser, clientSecret } = row;
  if (method === "none" || clientSecret === null) return { method: "none" };
  const secret = openedSecret(vault, clientSecret, row);
  if (secret === null) return { method: "none" };
  return method === "basic" ? { method, user: clientUser ?? "", password: secret } : { method, token: secret };
}

/** Null: it was changed in the file. The client refuses what comes without it, and each refusal is told. */
function openedSecret(vault: Vault, sealed: string, { tenant }: AuthRow): string | null {
  try {
    return vault.open(sealed, clientSecretOf(tenant));
  } catch (error) {
    if (error instanceof NotOpened) return null;
    throw error;
  }
}

function toTenant(vault: Vault, row: TenantRow): Tenant {
  return {
    tenant: row.tenant,
    id: row.id,
    name: row.name,
    clientBaseUrl: row.clientBaseUrl,
    clientSyncPath: row.clientSyncPath,
    clientAttachmentPath: row.clientAttachmentPath,
    clientAuth: authOf(vault, row),
    active: row.active === 1,
    limits: limitsOf(row),
    s3Prefixes: JSON.parse(row.s3Prefixes) as string[],
    hasKey: row.keyHash !== null,
    createdMs: row.createdMs,
    updatedMs: row.updatedMs,
  };
}

function toClient(vault: Vault, row: ClientRow): TenantClient {
  const { tenant, id, baseUrl, syncPath, runNowCount, nextReportMs } = row;
  const deleted = row.deletedMs !== null;
  return {
    tenant,
    id,
    deleted,
    baseUrl,
    syncPath,
    auth: authOf(vault, row),
    active: closedBy(row) === null,
    runNowCount,
    nextReportMs,
  };
}

// ---------------------------------------------------------------- deleted

/** Of a deleted tenant's unsent messages; answers how many. Those being sent finish first. */
function endSome(tx: Tx, tenant: string): number {
  let ended = 0;
  for (const key of statement<number>(tx.db, UNENDED).pluck().all(tenant)) {
    ended += endOrphans(tx, tx.queue(key), ENDED_AT_ONCE - ended);
    if (ended >= ENDED_AT_ONCE) break;
  }
  return ended;
}

/** A look: an empty pass must not write. */
export function anyDeleted(db: Database): boolean {
  return statement(db, DELETED).get() !== undefined;
}

/** Removes what is left of deleted tenants that owe nobody a report, or were deleted too long ago; at most `limit` messages, answers how many. */
export function forgetDeleted(tx: Tx, deletedBeforeMs: number, limit: number): number {
  let forgotten = 0;
  for (const tenant of statement<string>(tx.db, DELETED).pluck().all()) {
    if (forgotten >= limit) break;
    forgotten += forget(tx, tx.tenant(tenant), deletedBeforeMs, limit - forgotten);
  }
  return forgotten;
}

function forget(tx: Tx, row: TenantRow, deletedBeforeMs: number, limit: number): number {
  const { tenant } = row;
  if (statement(tx.db, UNFINISHED).get(tenant) !== undefined) return 0;
  const owes = row.reportsWaiting > 0 && row.clientBaseUrl !== null;
  if (owes && (row.deletedMs ?? 0) >= deletedBeforeMs) return 0;
  const all = { reportedBeforeMs: Number.MAX_SAFE_INTEGER, endedBeforeMs: Number.MAX_SAFE_INTEGER };
  if (anyToPurge(tx.db, tenant, all)) return purgeFinal(tx, tenant, all, limit);
  // A dispatcher still has a connection of one of its accounts, and gives it back by the queue's key.
  if (statement(tx.db, CONNECTED).get(tenant) !== undefined) return 0;
  for (const sql of FORGET) statement(tx.db, sql).run(tenant);
  statement(tx.db, FORGET_COUNTS).run(-row.key);
  statement(tx.db, REMEMBER_NAME).run(tenant);
  statement(tx.db, FORGET_TENANT).run(tenant);
  tx.forgetTenant(tenant);
  return 1;
}
