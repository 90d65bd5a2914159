/** A line of the service on which a promise rests, and the test that fails without it. */
export type Guard = {
  /** What it sees to. */
  guard: string;
  file: string;
  /** Occurs once in the file. */
  code: string;
  /** What stands there instead when the guard is gone. */
  without: string;
  test: string;
  /** Part of the names of the tests that fail then; it occurs in the file of the test. */
  fails: string;
};
