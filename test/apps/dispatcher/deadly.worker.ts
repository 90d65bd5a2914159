import compose from "@async-mail/dispatcher/compose.worker";
import type { ComposeTask } from "@async-mail/dispatcher/mime-text";

/** The real worker, but that a message's subject may ask for a disaster. */
export default async function deadly(tasks: ComposeTask[]): Promise<unknown> {
  const subjects = tasks.map((task) => task.payload.subject);
  if (subjects.includes("crash")) process.exit(1);
  // biome-ignore lint/correctness/noUnusedVariables: a busy thread is the point.
  if (subjects.includes("hang")) for (let forever = 0; ; forever++);
  return compose(tasks);
}
