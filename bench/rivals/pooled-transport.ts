import { createTransport } from "nodemailer";

/** nodemailer's pool as it is fastest: ten connections, each for any number of messages. */
export function pooledTransport(port: number) {
  return createTransport({
    pool: true,
    host: "127.0.0.1",
    port,
    secure: false,
    ignoreTLS: true,
    maxConnections: 10,
    maxMessages: Number.POSITIVE_INFINITY,
  });
}
