import { createSocket } from "node:dgram";
import { isIP } from "node:net";

/** Addresses of a name, each answered to the question for its family; a number: that RCODE; silence: no answer at all. */
export type DnsAnswer = string[] | number | "silence" | { four: string[]; six: "silence" };

export type DnsServer = {
  /** For `Resolver.setServers`. */
  address: string;
  /** By name, replaceable at any time. What is not here does not exist. */
  names: Record<string, DnsAnswer>;
  /** All questions, in the order in which they came, as in `files.test A`. */
  questions: string[];
  close(): Promise<void>;
};

/** RFC 1035 §4.1.1. */
export const SERVFAIL = 2;
const NXDOMAIN = 3;
const TYPES: Record<number, 4 | 6> = { 1: 4, 28: 6 };

/** A real name server (RFC 1035 §4, UDP) on a loopback address. */
export async function startDnsServer(names: Record<string, DnsAnswer> = {}): Promise<DnsServer> {
  const socket = createSocket("udp4");
  const questions: string[] = [];
  const running: DnsServer = {
    address: "",
    names,
    questions,
    close: () => new Promise((resolve) => socket.close(resolve)),
  };
  socket.on("message", (query, { port, address }) => {
    const { name, type, end } = readQuestion(query);
    const family = TYPES[type] ?? 4;
    questions.push(`${name} ${family === 4 ? "A" : "AAAA"}`);
    const answer = answerOf(running.names[name] ?? NXDOMAIN, family);
    if (answer !== "silence") socket.send(reply(query.subarray(0, end), type, answer), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  running.address = `127.0.0.1:${socket.address().port}`;
  return running;
}

function answerOf(answer: DnsAnswer, family: 4 | 6): string[] | number | "silence" {
  if (typeof answer === "object" && !Array.isArray(answer)) return family === 4 ? answer.four : answer.six;
  return Array.isArray(answer) ? answer.filter((address) => isIP(address) === family) : answer;
}

/** The first and only one; `end` is the offset behind it. */
function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function reply(question: Buffer, type: number, answer: string[] | number): Buffer {
  const head = Buffer.from(question);
  const addresses = typeof answer === "number" ? [] : answer;
  head.writeUInt16BE(0x8180 | (typeof answer === "number" ? answer : 0), 2);
  head.writeUInt16BE(addresses.length, 6);
  // Neither an authority nor anything in addition, such as the EDNS of the question.
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...addresses.map((address) => record(type, octetsOf(address)))]);
}

function record(type: number, octets: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0); // the name of the question
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(octets.length, 10);
  return Buffer.concat([head, octets]);
}

/** IPv6 addresses with all their eight groups, or `::1`. */
function octetsOf(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const groups = address === "::1" ? ["0", "0", "0", "0", "0", "0", "0", "1"] : address.split(":");
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}
