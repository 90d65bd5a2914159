import { createHash } from "node:crypto";

/** Chance that can be repeated: what is asked in the same order is answered the same. */
export type Chance = {
  /** From 0 up to but not 1. */
  next(): number;
  happens(probability: number): boolean;
  between(low: number, high: number): number;
  /** Both ends included. */
  whole(low: number, high: number): number;
  pick<T>(list: readonly T[]): T;
  /** One of the values, each as likely as its weight tells. */
  weighted<T>(choices: readonly (readonly [weight: number, value: T])[]): T;
};

/**
 * A stream of its own for each name (a message's id and attempt, say): what comes of it does not depend on what else
 * was decided meanwhile, so that the seed of a failed run decides the same again however the processes interleave.
 */
export function chance(seed: string, ...names: (string | number)[]): Chance {
  const next = numbers([seed, ...names].join("\0"));
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  return {
    next,
    happens: (probability) => next() < probability,
    between: (low, high) => low + next() * (high - low),
    whole: (low, high) => low + Math.floor(next() * (high - low + 1)),
    pick,
    weighted: (choices) => {
      let rest = next() * choices.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, value] of choices) {
        rest -= weight;
        if (rest < 0) return value;
      }
      return (choices.at(-1) as (typeof choices)[number])[1];
    },
  };
}

/** The generator known as sfc32, begun with a hash of the name. */
function numbers(name: string): () => number {
  const digest = createHash("sha256").update(name).digest();
  let [a, b, c, counter] = [0, 4, 8, 12].map((at) => digest.readInt32LE(at)) as [number, number, number, number];
  return () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 4_294_967_296;
  };
}
