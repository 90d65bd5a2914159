import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { type Context, Hono } from "hono";
import type { Env } from "./deps.ts";

/** Relative addresses throughout: the service may stand below a path of a proxy. */
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gnr-async-mail-service: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;

/** `validatorUrl` null: otherwise the page asks a public server for a badge. */
const START = `SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
`;

/** Whatever the bundle may hold, the browser loads from here and speaks with us alone. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page at /docs, from the files of the package: nothing is loaded from elsewhere. */
export function docsRoutes(): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/docs", (c) => {
    c.header("Content-Security-Policy", POLICY);
    return c.html(PAGE);
  });
  app.get("/docs/start.js", (c) => c.body(START, 200, { "Content-Type": "text/javascript; charset=utf-8" }));
  app.get("/docs/swagger-ui-bundle.js", (c) =>
    packaged(c, import.meta.resolve("swagger-ui-dist/swagger-ui-bundle.js"), "text/javascript; charset=utf-8"),
  );
  app.get("/docs/swagger-ui.css", (c) =>
    packaged(c, import.meta.resolve("swagger-ui-dist/swagger-ui.css"), "text/css; charset=utf-8"),
  );
  return app;
}

async function packaged(c: Context<Env>, url: string, type: string): Promise<Response> {
  const bytes = await readFile(fileURLToPath(url));
  return c.body(bytes, 200, { "Content-Type": type, "Cache-Control": "public, max-age=3600" });
}
