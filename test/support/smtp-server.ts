import { readFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerOptions, type SMTPServerSession } from "smtp-server";
import { eventually } from "./eventually.ts";

/** A message that was answered with 250 after its final dot. */
export type Received = {
  from: string;
  to: string[];
  raw: Buffer;
  /** When DATA was given, wall ms with fractions. */
  dataAt: number;
  /** When the final dot had come. */
  at: number;
  session: SessionInfo;
};

/** What is known of the connection on which something happens. */
export type SessionInfo = {
  id: string;
  ehloName: string;
  secure: boolean;
  user: string | null;
  /** 0 for the first connection this server took, 1 for the next, … */
  connection: number;
  /** Messages begun on this connection before this one. */
  transaction: number;
};

/** undefined: yes. A code with a text: that reply. `cut`: the connection is destroyed instead of an answer. */
export type StepAnswer = { code: number; text: string } | "cut" | undefined;
type Answered = StepAnswer | Promise<StepAnswer>;

/** How the server answers each step; absent: it agrees to all. A promise holds the answer back. Replaceable at any time. */
export type Script = {
  /** Before the greeting. */
  onConnect?(session: SessionInfo): Answered;
  onAuth?(login: { method: string; user: string; password: string }, session: SessionInfo): Answered;
  onMail?(from: string, session: SessionInfo): Answered;
  onRcpt?(to: string, session: SessionInfo): Answered;
  /** After 354 and before the message is read: may cut or hold back in the middle of it. */
  onDataBegin?(session: SessionInfo): Answered;
  /** After the final dot. `cut` here is the reply that never came. */
  onData?(message: Received): Answered;
};

export type SmtpServerOptions = {
  /** none: no STARTTLS offered (default). starttls: offered. implicit: from the first byte. */
  tls?: "none" | "starttls" | "implicit";
  /** Which of test/support/certificates is shown; default `localhost`, valid for localhost and 127.0.0.1. */
  certificate?: "localhost" | "elsewhere" | "expired";
  /** AUTH is offered, also unencrypted; `required` refuses mail without it; `hidden` does not offer it. */
  auth?: "optional" | "required" | "hidden";
  port?: number;
  host?: string;
  script?: Script;
  /** Anything else that smtp-server knows. */
  server?: SMTPServerOptions;
};

export type SmtpServer = {
  host: string;
  port: number;
  /** Everything accepted so far, in the order of the final dots. */
  messages: Received[];
  /** Every login tried. */
  logins: { method: string; user: string; password: string }[];
  /** Replaceable, whole or by step. */
  script: Script;
  connections: { open: number; max: number; total: number };
  /** Resolves when `count` messages are there. */
  received(count: number, deadlineMs?: number): Promise<Received[]>;
  /** Cuts every connection now open. */
  cutConnections(): void;
  close(): Promise<void>;
};

/** The PEM of the CA that signed the certificates above, for `tls_ca`. */
export const TEST_CA = readFileSync(new URL("certificates/ca.pem", import.meta.url), "utf8");

/** A real SMTP server on a loopback port that accepts everything, unless its script says otherwise. */
export async function startSmtpServer(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const messages: Received[] = [];
  const logins: SmtpServer["logins"] = [];
  const script: Script = options.script ?? {};
  const connections = { open: 0, max: 0, total: 0 };
  const sockets = new Map<number, Socket>();
  const ordinals = new Map<string, number>();

  const server = new SMTPServer({
    ...tlsOptions(options),
    ...authOptions(options),
    disableReverseLookup: true,
    closeTimeout: 1,
    maxAllowedUnauthenticatedCommands: false,
    logger: false,
    onConnect: (session, done) => {
      ordinals.set(session.id, ordinals.size);
      answer(session, running.script.onConnect?.(info(session)), done);
    },
    onAuth: (auth, session, done) => {
      const login = {
        method: auth.method,
        user: auth.username ?? "",
        password: auth.password ?? auth.accessToken ?? "",
      };
      logins.push(login);
      answer(session, running.script.onAuth?.(login, info(session)), (error) =>
        error ? done(error) : done(null, { user: login.user }),
      );
    },
    onMailFrom: (address, session, done) =>
      answer(session, running.script.onMail?.(address.address, info(session)), done),
    onRcptTo: (address, session, done) =>
      answer(session, running.script.onRcpt?.(address.address, info(session)), done),
    onData: (stream, session, done) => void takeMessage(stream, session).then(done, done),
    ...options.server,
  });

  async function takeMessage(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<Error | null> {
    const dataAt = wallMs();
    const begun = await running.script.onDataBegin?.(info(session));
    if (begun === "cut") cut(session);
    const raw = await buffer(stream);
    const message: Received = {
      from: session.envelope.mailFrom === false ? "" : session.envelope.mailFrom.address,
      to: session.envelope.rcptTo.map((one) => one.address),
      raw,
      dataAt,
      at: wallMs(),
      session: info(session),
    };
    if (begun !== undefined && begun !== "cut") return refusal(begun);
    const end = await running.script.onData?.(message);
    if (end === "cut") cut(session);
    else if (end !== undefined) return refusal(end);
    else messages.push(message);
    return null;
  }

  function answer(session: SMTPServerSession, given: Answered, done: (error?: Error | null) => void): void {
    Promise.resolve(given).then((step) => {
      if (step === "cut") cut(session);
      else if (step === undefined) done(null);
      else done(refusal(step));
    }, done);
  }

  function cut(session: SMTPServerSession): void {
    sockets.get(session.remotePort)?.destroy();
  }

  function info(session: SMTPServerSession): SessionInfo {
    return {
      id: session.id,
      ehloName: session.hostNameAppearsAs || "",
      secure: session.secure,
      user: session.user ?? null,
      connection: ordinals.get(session.id) ?? -1,
      transaction: session.transaction - 1,
    };
  }

  server.server.on("connection", (socket: Socket) => {
    const port = socket.remotePort ?? 0;
    sockets.set(port, socket);
    connections.total += 1;
    connections.open += 1;
    connections.max = Math.max(connections.max, connections.open);
    socket.on("close", () => {
      sockets.delete(port);
      connections.open -= 1;
    });
  });
  // A client that hangs up in the middle is a case under test, not a fault of the server.
  server.on("error", () => {});
  const host = options.host ?? "127.0.0.1";
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  server.server.unref();

  const running: SmtpServer = {
    host,
    port: (server.server.address() as AddressInfo).port,
    messages,
    logins,
    script,
    connections,
    received: (count, deadlineMs = 5000) =>
      eventually(() => messages.length >= count && [...messages], deadlineMs, `message ${count} at the SMTP server`),
    cutConnections: () => {
      for (const socket of sockets.values()) socket.destroy();
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return running;
}

function refusal(step: { code: number; text: string }): Error {
  return Object.assign(new Error(step.text), { responseCode: step.code });
}

function tlsOptions({ tls = "none", certificate = "localhost" }: SmtpServerOptions): SMTPServerOptions {
  if (tls === "none") return { disabledCommands: ["STARTTLS"] };
  // One file holds the key and the certificate.
  const pem = readFileSync(new URL(`certificates/${certificate}.pem`, import.meta.url));
  return { secure: tls === "implicit", key: pem, cert: pem };
}

function authOptions({ auth = "optional", tls = "none" }: SmtpServerOptions): SMTPServerOptions {
  if (auth !== "hidden") return { authOptional: auth === "optional", allowInsecureAuth: true };
  return { authOptional: true, disabledCommands: tls === "none" ? ["STARTTLS", "AUTH"] : ["AUTH"] };
}

function wallMs(): number {
  return performance.timeOrigin + performance.now();
}
