import { connect as connectTcp, isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import { systemLookup } from "@async-mail/runtime/system-lookup";

export type Place = { host: string; port: number; tls: boolean };

/** The step that failed, and in what words; null: it works. */
export type Failure = { step: "DNS" | "TCP" | "TLS"; text: string };

/** Of a name with many, so many are tried. */
const MOST_ADDRESSES = 3;

/** Connects and hangs up: nothing is said, so that nobody takes it for a call. */
export async function tryConnect(place: Place, timeoutMs: number): Promise<Failure | null> {
  const named = `${place.host}:${place.port}`;
  const addresses = await addressesOf(place.host, timeoutMs);
  if (addresses.length === 0) return { step: "DNS", text: `${named}: no address for this name` };
  let code: string | null = null;
  for (const address of addresses.slice(0, MOST_ADDRESSES)) {
    code = await connectFault(address, place, timeoutMs);
    if (code === null) return null;
  }
  return TLS_CODE.test(code ?? "")
    ? { step: "TLS", text: `${named}: its certificate or encryption is not trusted (${code})` }
    : { step: "TCP", text: `${named}: no connection (${code})` };
}

const TLS_CODE = /^(ERR_SSL|ERR_TLS|EPROTO|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/;

/** Null: it works. */
function connectFault(address: string, { host, port, tls }: Place, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const options = { host: address, port, ...(tls && isIP(host) === 0 && { servername: host }) };
    const socket = tls ? connectTls(options) : connectTcp(options);
    const end = (fault: string | null) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(fault);
    };
    const timer = setTimeout(() => end("no answer in time"), timeoutMs);
    socket.once(tls ? "secureConnect" : "connect", () => end(null));
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

async function addressesOf(host: string, timeoutMs: number): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await systemLookup({ patienceMs: timeoutMs })(host)).map(({ address }) => address);
  } catch {
    return [];
  }
}
