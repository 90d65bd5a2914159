/** Why this address, which that host has, may not be reached, in words; null: it may. */
export type AddressRule = (host: string, address: string) => string | null;

/**
 * Nothing was sent there. The message says nothing of what the host's name leads to, which may be nobody's business;
 * `why` is the rule's word.
 */
export class ForbiddenAddress extends Error {
  override name = "ForbiddenAddress";
  readonly host: string;
  readonly why: string;

  constructor(host: string, why: string) {
    super(`${host}: its address may not be reached`);
    this.host = host;
    this.why = why;
  }
}
