/** One formula for all who live by a moved clock: the processes under test, and the servers that the test runs. */
export type Settings = {
  /** Holds by how many ms the wall clock has been set. */
  file: string;
  speed: number;
  /** When this machine's CLOCK_MONOTONIC stood at `realBaseNs`, the others stood at theirs. */
  realBaseNs: string;
  monotonicBaseNs: string;
  wallBaseMs: number;
  bootId?: string;
};

export function monotonicNsOf(settings: Settings, realNs: bigint): bigint {
  return BigInt(settings.monotonicBaseNs) + passedNs(settings, realNs);
}

export function wallMsOf(settings: Settings, realNs: bigint, jumpedMs: number): number {
  return Math.floor(settings.wallBaseMs + Number(passedNs(settings, realNs)) / 1e6 + jumpedMs);
}

function passedNs({ speed, realBaseNs }: Settings, realNs: bigint): bigint {
  // Thousandths, for speeds that are no whole number.
  return ((realNs - BigInt(realBaseNs)) * BigInt(Math.round(speed * 1000))) / 1000n;
}
