/** One thing that was looked at. A `problem` keeps mail or reports from going, or is about to; a `note` is worth knowing. */
export type Finding = {
  check: string;
  state: "ok" | "note" | "problem" | "skipped";
  /** In plain words. */
  text: string;
  /** What to do about it. */
  todo?: string;
};

export const ok = (check: string, text: string): Finding => ({ check, state: "ok", text });
export const note = (check: string, text: string): Finding => ({ check, state: "note", text });
export const skipped = (check: string, text: string): Finding => ({ check, state: "skipped", text });
export const problem = (check: string, text: string, todo: string): Finding => ({
  check,
  state: "problem",
  text,
  todo,
});
