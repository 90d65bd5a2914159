/** The messages that all who are measured send: one recipient, a plain text of 1 KB in lines of 64. */

const LINE = "It is on its way, and here is what you may want to know of it.";
const TEXT = Array.from({ length: 16 }, () => `${LINE}\n`).join("");

export type Mail = { from: string; to: string; subject: string; body: string };

export function mail(name: string): Mail {
  return {
    from: "Shop <shop@example.com>",
    to: `${name}@example.org`,
    subject: `Your order ${name}`,
    body: TEXT,
  };
}

/** Bodies of add-messages, with so many in each; `fields` of each message beside those of its mail. */
export function batches(
  name: string,
  count: number,
  size: number,
  fields: (i: number) => object = () => ({}),
): string[] {
  const bodies: string[] = [];
  for (let from = 0; from < count; from += size) {
    const messages = Array.from({ length: Math.min(size, count - from) }, (_, i) => {
      const id = `${name}-${from + i}`;
      return { id, ...mail(id), ...fields(from + i) };
    });
    bodies.push(JSON.stringify({ messages }));
  }
  return bodies;
}
