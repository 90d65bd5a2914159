/** A message ready to be handed over: the envelope's addresses, and the MIME text without any Bcc. */
export type Composed = {
  /** MAIL FROM; empty is the null sender `<>`. */
  sender: string;
  recipients: string[];
  raw: Uint8Array;
};
