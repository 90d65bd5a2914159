import {
  type AttachmentSecrets,
  type ShownPayload,
  withoutSecrets,
  withSecrets,
} from "@async-mail/domain/attachment-secrets";
import type { Payload } from "@async-mail/domain/message";
import { DamagedRow, payloadOf } from "./message-row.ts";
import { NotOpened } from "./sealing.ts";
import type { Vault } from "./vault.ts";

/** What a message says, as it stands in the file: secrets of its attachments are sealed, and shown nowhere. */
type Stored = ShownPayload & { sealed?: string };

/** JSON for the message with that key. */
export function sealPayload(vault: Vault, payload: Payload, key: number): string {
  const { shown, secrets } = withoutSecrets(payload);
  const stored: Stored = { ...shown };
  if (secrets !== null) stored.sealed = vault.seal(JSON.stringify(secrets), contextOf(key));
  return JSON.stringify(stored);
}

/** The payload as it was accepted. Throws DamagedRow. */
export function openPayload(vault: Vault, json: string, key: number): Payload {
  const { sealed, ...shown } = payloadOf(json) as Stored;
  if (sealed === undefined) return withSecrets(shown, null);
  return withSecrets(shown, JSON.parse(opened(vault, sealed, key)) as AttachmentSecrets);
}

function opened(vault: Vault, sealed: string, key: number): string {
  try {
    return vault.open(sealed, contextOf(key));
  } catch (error) {
    if (!(error instanceof NotOpened)) throw error;
    throw new DamagedRow(`the secrets of its attachments cannot be decrypted: ${error.message}`, { cause: error });
  }
}

/** The payload as people may see it. Throws DamagedRow. */
export function shownPayload(json: string | null): ShownPayload {
  const { sealed: _, ...shown } = payloadOf(json) as Stored;
  return shown;
}

function contextOf(key: number): string {
  return `payloads.payload of message ${key}`;
}
