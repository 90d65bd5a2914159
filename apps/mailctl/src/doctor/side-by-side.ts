/** As many as dispatchers try logins at once. */
const AT_ONCE = 5;

/** A few at a time, so that one that stalls does not hold up the others; the answers in the order of what was asked. */
export async function sideBySide<T, R>(all: readonly T[], ask: (one: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = [];
  const left = all.entries();
  const work = async () => {
    for (const [index, one] of left) answers[index] = await ask(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return answers;
}
