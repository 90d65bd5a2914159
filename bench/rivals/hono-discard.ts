/**
 * The least that taking a message over HTTP can cost: a bare Hono handler that parses the body and forgets it. Prints the
 * address at which it listens.
 *
 *     node bench/rivals/hono-discard.ts
 */
import { serve } from "@hono/node-server";
import { Hono } from "hono";

const app = new Hono();
app.post("/commands/add-messages", async (c) => {
  const { messages } = await c.req.json();
  return c.json({ ok: true, queued: messages.length, rejected: [] });
});
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => console.log(`http://127.0.0.1:${port}`));
