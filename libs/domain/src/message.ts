import type { OnAmbiguous } from "./account.ts";

/** 0 immediate, 1 high, 2 medium, 3 low. */
export type Priority = 0 | 1 | 2 | 3;

/** As posted, but for `content`, which is kept apart as bytes: its size stands here instead, in bytes. */
export type StoredAttachment = {
  filename?: string;
  content_type?: string;
  content_id?: string;
  size?: number;
  url?: string;
  s3?: { bucket: string; key: string; version_id?: string };
};

/** The accepted fields of a message, by the contract's names and in the shapes the client sent; what a record shows. */
export type Payload = {
  id: string;
  account_id?: string;
  from: string;
  to: string | string[];
  cc?: string | string[];
  bcc?: string | string[];
  reply_to?: string | string[];
  return_path?: string;
  subject: string;
  body?: string;
  html?: string;
  content_type?: string;
  headers?: Record<string, string>;
  message_id?: string;
  attachments?: StoredAttachment[];
  priority?: number;
  deferred_ts?: number;
  expires_ts?: number;
  on_ambiguous?: OnAmbiguous;
};

/** A message that passed every check and only waits to be stored. */
export type Message = {
  id: string;
  /** null: the default account. */
  accountId: string | null;
  priority: Priority;
  /** Epoch ms of the wall clock; null: now. Never in the past of the moment it was parsed. */
  deferredMs: number | null;
  expiresMs: number | null;
  onAmbiguous: OnAmbiguous | null;
  /** Fixed here, angle brackets included, so that a second send carries the same. */
  messageId: string;
  /** The envelope's recipients (to, cc, bcc), each once, ready for RCPT TO. */
  recipients: string[];
  payload: Payload;
  /** Decoded inline attachments, in the order of those attachments in `payload` that carry a `size`. */
  contents: Uint8Array[];
  /** Size of payload and contents together: what a claim weighs. */
  bytes: number;
};

/** Why a message was not taken, in the contract's words (§3.3). */
export type Rejection = { id: string | null; reason: string };
