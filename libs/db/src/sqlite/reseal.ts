import type { Payload } from "@async-mail/domain/message";
import type { Database } from "better-sqlite3";
import { type Keys, type Rotation, StorageBusy, StorageUnavailable } from "../store.ts";
import { createDisk } from "./disk.ts";
import type { Engine } from "./engine.ts";
import { payloadOf, unlessDamaged } from "./message-row.ts";
import { openPayload, sealPayload } from "./payload-row.ts";
import { NotOpened } from "./sealing.ts";
import { statement } from "./statement.ts";
import type { Tx } from "./tx.ts";
import { clientSecretOf, createVault, keyMissing, passwordOf, type Vault } from "./vault.ts";
import { NO_TIME } from "./writer.ts";

/** Sealing what stands in the file: for the first time, and anew with another key. */

/** Rows of one step: others wait for the lock meanwhile. */
const AT_ONCE = 200;

const SEAL_KEY = "SELECT seal_key FROM service";
const SET_SEAL_KEY = "UPDATE service SET seal_key = ?";
const SET_SCRUB = "UPDATE service SET scrub = ?";
const SCRUB = "SELECT scrub FROM service";
/** Queues outlive accounts and messages. */
const EVER_USED = "SELECT 1 FROM queues LIMIT 1";
const BYTES = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
const PASSWORDS = "SELECT queue, password FROM accounts WHERE password IS NOT NULL";
const SET_PASSWORD = "UPDATE accounts SET password = ? WHERE queue = ?";
const SECRETS = "SELECT tenant, client_secret AS secret FROM tenants WHERE client_secret IS NOT NULL";
const SET_SECRET = "UPDATE tenants SET client_secret = ? WHERE tenant = ?";
const PAYLOADS = "SELECT message, payload FROM payloads WHERE message > ? ORDER BY message LIMIT ? + 0";
const SET_PAYLOAD = "UPDATE payloads SET payload = ? WHERE message = ?";

/** Only asked where the key is gone: who had nothing to hide needs none to go on. */
const ANY_SEALED = [
  "SELECT 1 FROM accounts WHERE password IS NOT NULL LIMIT 1",
  "SELECT 1 FROM tenants WHERE client_secret IS NOT NULL LIMIT 1",
  `SELECT 1 FROM payloads WHERE payload LIKE '%"sealed":"v1:%' LIMIT 1`,
];

/** What is left to be done so that nothing plain, or sealed with a former key, is in the file's bytes. */
const Scrub = { done: 0, rewrite: 1, emptyLog: 2 } as const;

type StoredPayload = { message: number; payload: string };

/**
 * In the transaction that prepares the file: from the first start on that seals, whatever is secret in it is sealed with
 * one key, and that key has to be there. Throws StorageRefused.
 */
export function sealFile(db: Database, keys: Keys): void {
  const id = statement<string | null>(db, SEAL_KEY).pluck().get() ?? null;
  if (id === null) sealPlain(db, keys);
  else if (keys.find(id) === null) replaceLost(db, keys, id);
}

function replaceLost(db: Database, keys: Keys, id: string): void {
  if (ANY_SEALED.some((sql) => statement(db, sql).get() !== undefined)) throw keyMissing(id, keys);
  statement(db, SET_SEAL_KEY).run(keys.make().id);
}

/** Of a file of an earlier release; what was plain is to be scrubbed, also what was deleted since. */
function sealPlain(db: Database, keys: Keys): void {
  statement(db, SET_SEAL_KEY).run(keys.make().id);
  if (statement(db, EVER_USED).get() !== undefined) statement(db, SET_SCRUB).run(Scrub.rewrite);
  const vault = createVault(db, keys);
  for (const { queue, password } of statement<{ queue: number; password: string }>(db, PASSWORDS).all()) {
    statement(db, SET_PASSWORD).run(vault.seal(password, passwordOf(queue)), queue);
  }
  for (let page = payloadsAfter(db, 0); page.length > 0; page = payloadsAfter(db, page.at(-1)!.message))
    for (const { message, payload } of page) {
      const plain = unlessDamaged(() => payloadOf(payload));
      if (plain === null) continue; // it says so when it is to be sent
      if (plain.attachments) sealIfSecret(db, vault, message, plain);
    }
}

function payloadsAfter(db: Database, message: number): StoredPayload[] {
  return statement<StoredPayload>(db, PAYLOADS).all(message, AT_ONCE);
}

function sealIfSecret(db: Database, vault: Vault, message: number, plain: Payload): void {
  const sealed = sealPayload(vault, plain, message);
  if (sealed !== JSON.stringify(plain)) statement(db, SET_PAYLOAD).run(sealed, message);
}

/** While everything runs: the new key is named first, then what the others sealed is sealed anew, and they are dropped. */
export async function rotate(engine: Engine, keys: Keys): Promise<Rotation> {
  const { writer } = engine;
  const id = await writer.write(NO_TIME, (tx) => {
    const service = tx.service();
    const configured = keys.newest();
    service.sealKey = keys.configured && configured !== null ? configured.id : keys.add().id;
    return service.sealKey;
  });
  const accounts = await writer.write(NO_TIME, resealAccounts);
  let { resealed, unopened } = accounts;
  for (let after: number | null = 0; after !== null; ) {
    const from: number = after;
    const step = await writer.write(NO_TIME, (tx) => resealPayloads(tx, from));
    resealed += step.resealed;
    unopened += step.unopened;
    after = step.last;
  }
  await writer.write(NO_TIME, (tx) => {
    const service = tx.service();
    // Another rotation has begun since: rows that it has not come to yet may need any of the keys. It drops them.
    if (service.sealKey === id) keys.drop(keys.ids().filter((other) => other !== id));
    service.scrub = Scrub.rewrite;
  });
  return { keyId: id, resealed, unopened, scrubbed: await scrubUnlessBusy(engine) };
}

/** All is sealed anew by then: where others keep the file locked, the housekeeping goes on. */
async function scrubUnlessBusy({ writer, db }: Engine): Promise<boolean> {
  try {
    return await writer.read(() => scrub(db));
  } catch (error) {
    if (error instanceof StorageBusy) return false;
    throw error;
  }
}

type Resealed = { resealed: number; unopened: number };

function resealAccounts({ db, vault }: Tx): Resealed {
  const done: Resealed = { resealed: 0, unopened: 0 };
  for (const { queue, password } of statement<{ queue: number; password: string }>(db, PASSWORDS).all()) {
    const sealed = count(done, resealedText(vault, password, passwordOf(queue)));
    if (sealed !== null) statement(db, SET_PASSWORD).run(sealed, queue);
  }
  for (const { tenant, secret } of statement<{ tenant: string; secret: string }>(db, SECRETS).all()) {
    const sealed = count(done, resealedText(vault, secret, clientSecretOf(tenant)));
    if (sealed !== null) statement(db, SET_SECRET).run(sealed, tenant);
  }
  return done;
}

/** Null: it was changed in the file, and opens with no key. */
function resealedText(vault: Vault, sealed: string, context: string): string | null {
  try {
    return vault.seal(vault.open(sealed, context), context);
  } catch (error) {
    if (error instanceof NotOpened) return null;
    throw error;
  }
}

function count<T>(done: Resealed, sealed: T | null): T | null {
  if (sealed === null) done.unopened += 1;
  else done.resealed += 1;
  return sealed;
}

/** `last`: the last message looked at; null: there are no more. */
function resealPayloads({ db, vault }: Tx, after: number): Resealed & { last: number | null } {
  const page = payloadsAfter(db, after);
  const done = { resealed: 0, unopened: 0, last: page.at(-1)?.message ?? null };
  for (const { message, payload } of page.filter(({ payload }) => payload.includes('"sealed":"v1:'))) {
    const plain = count(
      done,
      unlessDamaged(() => openPayload(vault, payload, message)),
    );
    if (plain !== null) statement(db, SET_PAYLOAD).run(sealPayload(vault, plain, message), message);
  }
  return done;
}

export function anyToScrub(db: Database): boolean {
  return leftToScrub(db) !== Scrub.done;
}

function leftToScrub(db: Database): number {
  return statement<number>(db, SCRUB).pluck().get() ?? Scrub.done;
}

/**
 * What was plain, or sealed with a key of before, still stands in pages that are free now, and in the log: the file is
 * written anew, once, and the log emptied as soon as nobody reads in it. Not in a transaction. False: others were
 * reading, or the disk is too full; it is to be tried again.
 */
export function scrub(db: Database): boolean {
  if (leftToScrub(db) === Scrub.rewrite) {
    if (!hasRoomTwice(db)) return false;
    db.exec("VACUUM");
    statement(db, SET_SCRUB).run(Scrub.emptyLog);
  }
  if (!anyToScrub(db)) return true;
  const [answer] = db.pragma("wal_checkpoint(TRUNCATE)") as { busy: number }[];
  if (answer?.busy !== 0) return false;
  statement(db, SET_SCRUB).run(Scrub.done);
  return true;
}

/** Written anew it stands in the log too: mail that goes on matters more. */
function hasRoomTwice(db: Database): boolean {
  const bytes = statement<number>(db, BYTES).pluck().get()!;
  try {
    createDisk(db.name).mustHold(bytes);
    return true;
  } catch (error) {
    if (error instanceof StorageUnavailable) return false;
    throw error;
  }
}
