import { Webhook } from "standardwebhooks";

/** Adds the headers of Standard Webhooks to a body. */
export type Sign = (id: string, at: Date, body: string) => Record<string, string>;

/** `secrets`: one or, while they are rotated, two `whsec_…`, comma separated; each signs. Throws when one is not base64. */
export function createSigner(secrets: string): Sign {
  const webhooks = secrets.split(",").map((secret) => webhook(secret.trim()));
  return (id, at, body) => ({
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": webhooks.map((one) => one.sign(id, at, body)).join(" "),
  });
}

function webhook(secret: string): Webhook {
  try {
    return new Webhook(secret);
  } catch (cause) {
    // Never the secret itself: this ends in a log.
    throw new Error("sync.signing_secret: wants `whsec_` and base64, two of them separated by a comma", { cause });
  }
}
