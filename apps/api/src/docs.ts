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

const JAVASCRIPT = "text/javascript; charset=utf-8";
const CSS = "text/css; charset=utf-8";

/** The page and all that it loads, from here and from the files of the package: nothing comes from elsewhere. */
const ANSWERS: Record<string, (c: Context<Env>) => Response | Promise<Response>> = {
  "/docs": (c) => {
    c.header("Content-Security-Policy", POLICY);
    return c.html(PAGE);
  },
  "/docs/start.js": (c) => c.body(START, 200, { "Content-Type": JAVASCRIPT }),
  "/docs/swagger-ui-bundle.js": (c) =>
    packaged(c, import.meta.resolve("swagger-ui-dist/swagger-ui-bundle.js"), JAVASCRIPT),
  "/docs/swagger-ui.css": (c) => packaged(c, import.meta.resolve("swagger-ui-dist/swagger-ui.css"), CSS),
};

/** For these no token is asked. */
export const DOCS_PATHS: readonly string[] = Object.keys(ANSWERS);

export function docsRoutes(): Hono<Env> {
  const app = new Hono<Env>();
  for (const [path, answer] of Object.entries(ANSWERS)) app.get(path, answer);
  return app;
}

async function packaged(c: Context<Env>, url: string, type: string): Promise<Response> {
  const bytes = await readFile(fileURLToPath(url));
  return c.body(bytes, 200, { "Content-Type": type, "Cache-Control": "public, max-age=3600" });
}
