import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import test from "node:test";
import { providerDomains, providerOf } from "@async-mail/runtime/providers";
import { ROOT } from "../../support/processes.ts";

type WellKnown = (key: string) => { host: string; port?: number } | false;
type Services = Record<string, { domains?: string | string[] }>;

const load = createRequire(join(ROOT, "apps/dispatcher/package.json"));
const { default: wellKnown } = load("nodemailer/lib/well-known") as { default: WellKnown };
const services = load("nodemailer/lib/well-known/services.json") as Services;

test("every provider that nodemailer knows by domain is known here", () => {
  const domains = Object.values(services).flatMap((service) => [service.domains ?? []].flat());
  const missing = domains.filter((domain) => !providerDomains().includes(domain));
  // Not a domain of mailboxes.
  assert.deepEqual(missing, ["www.feishu.cn"]);
});

test("host and port are nodemailer's", () => {
  for (const domain of providerDomains()) {
    const known = wellKnown(`someone@${domain}`);
    assert.ok(known, domain);
    assert.deepEqual(providerOf(`someone@${domain}`), { host: known.host, port: known.port ?? 587 }, domain);
  }
});

test("a login that is no mailbox, or at an unknown domain, has no provider", () => {
  assert.equal(providerOf("gmail.com"), null);
  assert.equal(providerOf("someone@example.com"), null);
});
