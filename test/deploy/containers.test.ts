import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it, test } from "node:test";
import { environmentNames } from "@async-mail/runtime/settings";
import { validate } from "dockerfile-utils";
import { parse } from "yaml";
import { type ApiClient, apiClient } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { aMessage } from "../support/messages.ts";
import { ROOT } from "../support/processes.ts";
import { type SmtpServer, startSmtpServer } from "../support/smtp-server.ts";
import { type SyncClient, startSyncClient } from "../support/sync-client.ts";
import { readCompose, readEnvFile, type Service, variablesOfCompose } from "./compose.ts";
import { type Container, mountedFile, newVolume, startContainer } from "./container.ts";
import { addedFiles, buildImage, canMakeViews, type Image, NO_VIEWS } from "./image.ts";

/** The container files, by what this machine has in place of an engine: see image.ts and container.ts. */

const KINDS = ["api", "dispatcher", "reporter"] as const;
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

test("the Dockerfile has nothing that a linter minds", () => {
  const faults = validate(read("Dockerfile")).map(({ message, range }) => `${range.start.line + 1}: ${message}`);
  assert.deepEqual(faults, []);
});

test("compose reads its file with every profile", (t) => {
  const compose = ["compose", "--profile", "dev", "--profile", "monitoring"];
  if (spawnSync("docker", ["compose", "version"]).status !== 0) return t.skip("docker compose is not installed here");
  const { status, stderr } = spawnSync("docker", [...compose, "config", "--quiet"], { cwd: ROOT, encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

describe("docker-compose.yml", () => {
  const { services, secrets, volumes } = readCompose();
  const ours = KINDS.map((kind) => services[kind]!);

  it("starts the three processes without a profile, each from its line of the Procfile", () => {
    const plain = Object.keys(services).filter((name) => services[name]!.profiles === undefined);
    assert.deepEqual(plain.sort(), [...KINDS].sort());
    const lines = read("Procfile").trim().split("\n");
    assert.deepEqual(
      KINDS.map((kind) => `${kind}: ${services[kind]!.command?.join(" ")}`),
      lines,
    );
  });

  it("keeps one local volume for all three, and nothing else that they could write", () => {
    assert.deepEqual(Object.keys(volumes), ["data", "prometheus"]);
    for (const service of ours) {
      assert.deepEqual(service.volumes, ["data:/data"]);
      assert.equal(service.read_only, true);
    }
  });

  it("waits longer for a stop than a process may take", () => {
    const grace = Number(/^shutdown_grace_seconds = (\d+)$/m.exec(read("config.ini.example"))?.[1]);
    for (const service of ours) assert.ok(Number.parseInt(service.stop_grace_period!, 10) > grace);
  });

  it("gives dispatchers no port of this machine, so that there may be several", () => {
    assert.equal(services.dispatcher?.ports, undefined);
  });

  it("takes each secret from a file, and only settings that there are", () => {
    const known = new Set(environmentNames());
    for (const [name, value] of Object.entries(ours[0]!.environment!)) {
      if (name === "ASYNC_MAIL_CONFIG") continue;
      assert.ok(known.has(name.replace(/_FILE$/, "")), name);
      const secret = /^\/run\/secrets\/(.*)$/.exec(value)?.[1];
      assert.equal(name.endsWith("_FILE"), secret !== undefined, name);
      if (secret === undefined) continue;
      assert.equal(`${secret.toUpperCase()}_FILE`, name);
      assert.ok(ours[0]!.secrets?.includes(secret) && secrets[secret], secret);
    }
    assert.deepEqual(Object.keys(secrets).sort(), [...ours[0]!.secrets!].sort());
  });

  it("and example.env name the same variables, and compose's own", () => {
    const { named, set } = readEnvFile("deploy/container/example.env");
    assert.deepEqual(
      named.filter((name) => name !== "COMPOSE_PROFILES"),
      variablesOfCompose(),
    );
    assert.deepEqual(set, {}, "nothing is set before somebody does");
  });

  it("sends all mail to Mailpit with dev.env", () => {
    const { set } = readEnvFile("deploy/container/dev.env");
    assert.equal(set.COMPOSE_PROFILES, "dev");
    const { services } = readCompose(set);
    assert.deepEqual(services.mailpit?.profiles, ["dev"]);
    const { SMTP_HOST, SMTP_PORT, SMTP_SECURITY } = services.dispatcher!.environment!;
    assert.deepEqual([SMTP_HOST, SMTP_PORT, SMTP_SECURITY], ["mailpit", "1025", "none"]);
  });

  it("has Prometheus find every container of each service where it listens", () => {
    const { scrape_configs, rule_files } = parse(read("deploy/prometheus/prometheus.yml"));
    const found = scrape_configs[0].dns_sd_configs.map(({ names, port }: { names: string[]; port: number }) => [
      names[0],
      port,
    ]);
    assert.deepEqual(found, [
      ["api", 8000],
      ["dispatcher", 9110],
      ["reporter", 9120],
    ]);
    assert.ok(scrape_configs[0].job_name.startsWith("async-mail"));
    for (const file of rule_files) assert.ok(statSync(join(ROOT, "deploy/prometheus", file)).isFile());
    assert.match(read("Dockerfile"), /^EXPOSE 8000 9110 9120$/m);
  });

  it("mounts for Grafana the dashboards where its provider looks, and Prometheus as it is called there", () => {
    const mounts = services.grafana!.volumes!.map((volume) => volume.split(":"));
    const [provider] = parse(read("deploy/grafana/provisioning/dashboards/async-mail.yml")).providers;
    assert.ok(mounts.some(([here, path]) => here === "./deploy/grafana/dashboards" && path === provider.options.path));
    const [source] = parse(read("deploy/grafana/provisioning/datasources/prometheus.yml")).datasources;
    assert.equal(source.url, "http://prometheus:9090");
    assert.ok(services.prometheus);
  });
});

type FirstLook = { box: Container; api: ApiClient; smtp: SmtpServer; client: SyncClient; close(): Promise<void> };

describe("the image", { skip: !canMakeViews() && NO_VIEWS }, () => {
  let image: Image;
  before(() => {
    image = buildImage();
  });

  it("has what runs, and neither tests, tools, compilers nor anything of this checkout's own", () => {
    const files = addedFiles(image);
    assert.ok(files.includes("apps/api/src/main.ts"));
    const unwanted =
      /^(test|bench|docs|deploy|data|\.git|config\.ini|\.env)|\.pnpm\/(typescript|esbuild|tsx|@biomejs)@/;
    assert.deepEqual(
      files.filter((file) => unwanted.test(file)),
      [],
    );
    assert.deepEqual(
      files.filter((file) => /better-sqlite3\/prebuilds\/\w/.test(file) && !file.includes("/linux-")),
      [],
    );
  });

  it("runs all three by its own command, as another user, on a read-only root, and ends with 0 when it is told to", async () => {
    const { box, api, smtp, client, close } = await firstLook();
    const { status, output } = box.exec(["sh", "-c", "id -u; touch /app/here /here"]);
    assert.match(output, /^1000\n/);
    assert.notEqual(status, 0);
    assert.equal((await api.addMessages(aMessage({ id: "hello" }))).status, 200);
    await smtp.received(1);
    await client.reports(1);
    assert.match(box.exec(["mailctl", "messages", "show", "hello"]).output, /^status +sent$/m);
    await eventually(() => box.exec(image.healthcheck).status === 0, 10_000, "health");
    box.kill(image.stopSignal as NodeJS.Signals);
    assert.deepEqual(await box.exited(), { code: 0, signal: null });
    await close();
  });

  for (const kind of KINDS)
    it(`ends when its ${kind} does`, async () => {
      const { box, close } = await firstLook();
      box.kill("SIGKILL", `apps/${kind}/src/main.ts`);
      assert.deepEqual(await box.exited(), { code: 1, signal: null });
      assert.match(box.output(), new RegExp(`${kind} ended \\(SIGKILL\\) though nobody asked it to`));
      await close();
    });

  for (const kind of KINDS)
    it(`is not healthy while its ${kind} hangs`, async () => {
      const { box, close } = await firstLook();
      await eventually(() => box.exec(image.healthcheck).status === 0, 10_000, "health");
      box.kill("SIGSTOP", `apps/${kind}/src/main.ts`);
      const { status, output } = box.exec(image.healthcheck);
      assert.equal(status, 1);
      assert.match(output, new RegExp(`^${kind} \\(process \\d+\\) does not answer at http`));
      box.kill("SIGKILL");
      await close();
    });

  it("runs each service of docker-compose.yml by its own command and environment, with three dispatchers", async () => {
    const smtp = await startSmtpServer({ auth: "required" });
    const client = await startSyncClient();
    const port = await freePort();
    const given = { SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), SMTP_SECURITY: "none", SMTP_USER: "shop" };
    const files: Record<string, string> = {
      API_TOKEN_FILE: mountedFile("the-api-token\n"),
      METRICS_TOKEN_FILE: mountedFile("the-metrics-token\n"),
      SMTP_PASSWORD_FILE: mountedFile("secret\n"),
    };
    const { services, secrets, configs } = readCompose({ ...given, PROXY_SYNC_URL: client.url, ...files });
    const data = newVolume();
    const run = (service: Service, env: Record<string, string>) => {
      const mounts = [
        ["/data", data],
        ...service.secrets!.map((name) => [`/run/secrets/${name}`, secrets[name]!.file]),
        ...service.configs!.map(({ source, target }) => [target, configs[source]!.file]),
      ];
      return startContainer(image, {
        command: service.command!,
        env: { ...service.environment, ...env },
        mounts: Object.fromEntries(mounts),
      });
    };
    // In place of the containers' networks of their own, a port for each.
    const boxes = [await run(services.api!, { PORT: String(port) })];
    for (const name of ["dispatcher", "dispatcher", "dispatcher", "reporter"])
      boxes.push(await run(services[name]!, { METRICS_PORT: String(await freePort()) }));
    for (const box of boxes) await eventually(() => box.exec(image.healthcheck).status === 0, 20_000, box.output);

    const api = apiClient(`http://127.0.0.1:${port}`, "the-api-token");
    assert.equal((await api.addMessages(...[1, 2, 3].map((n) => aMessage({ id: `m-${n}` })))).status, 200);
    await smtp.received(3);
    await client.reports(3);
    const metrics = { authorization: "Bearer the-metrics-token" };
    assert.equal((await fetch(`http://127.0.0.1:${port}/metrics`, { headers: metrics })).status, 200);

    for (const box of boxes) box.kill(image.stopSignal as NodeJS.Signals);
    for (const box of boxes) assert.deepEqual(await box.exited(), { code: 0, signal: null }, box.output());
    await Promise.all([smtp.close(), client.close()]);
  });

  /** `docker run`, as the README has it. */
  async function firstLook(): Promise<FirstLook> {
    const smtp = await startSmtpServer();
    const client = await startSyncClient();
    const data = newVolume();
    const port = await freePort();
    const env = {
      ...{ SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), SMTP_SECURITY: "none", FETCH_URL: client.url },
      ...{ PORT: String(port), METRICS_PORT: String(await freePort()) },
    };
    const box = await startContainer(image, { env, mounts: { [image.volumes[0]!]: data } });
    const token = await eventually(
      () => readFileSync(join(data, "mail_service.db.token"), "utf8").trim(),
      20_000,
      box.output,
    );
    return {
      box,
      api: apiClient(`http://127.0.0.1:${port}`, token),
      smtp,
      client,
      close: async () => void (await Promise.all([smtp.close(), client.close()])),
    };
  }
});
