import type { Guard } from "../guard.ts";

const FETCH = "apps/dispatcher/src/attachments/fetch-s3.ts";
const FETCH_TEST = "test/apps/dispatcher/attachments/fetch-s3.test.ts";
const ALLOW = "libs/domain/src/s3-allow.ts";
const ALLOW_TEST = "test/libs/domain/s3-allow.test.ts";

/** What of S3 may be asked for, and what its server may do to us. */
export const S3: Guard[] = [
  {
    guard: "s3: s3.allow is asked again before the fetch",
    file: FETCH,
    code: "if (refused !== null) return final(refused);",
    without: "",
    test: FETCH_TEST,
    fails: "is asked again before anything is fetched",
  },
  {
    guard: "s3: keys that a gateway may resolve are in no list",
    file: ALLOW,
    code: "!MAY_BE_ANOTHER.test(place.key) && ",
    without: "",
    test: ALLOW_TEST,
    fails: "a key that a gateway may take for another is in no list",
  },
  {
    guard: "s3: a prefix ends at a slash",
    file: ALLOW,
    code: ' === "" || prefix.endsWith("/")',
    without: ".length >= 0",
    test: ALLOW_TEST,
    fails: "a prefix ends at a slash",
  },
  {
    guard: "s3: a refusal is not read without end",
    file: FETCH,
    code: "if (bytes >= MAX_REFUSAL_BYTES) return;",
    without: "",
    test: FETCH_TEST,
    fails: "with a body that does not end is not read for ever",
  },
  {
    guard: "s3: a part of an object is not the object",
    file: FETCH,
    code: "$metadata.httpStatusCode !== 200",
    without: "false",
    test: FETCH_TEST,
    fails: "is the whole one or none",
  },
  {
    guard: "s3: refused credentials are not the object's fault",
    file: FETCH,
    code: "if (unready !== null) return unready;",
    without: "",
    test: FETCH_TEST,
    fails: "whose credentials are refused elsewhere is not what refuses",
  },
  {
    guard: "s3: what is not read is closed",
    file: "apps/dispatcher/src/attachments/s3-body.ts",
    code: "answer.destroy();",
    without: "",
    test: FETCH_TEST,
    fails: "leaves no connection behind",
  },
  {
    guard: "s3: whoever says when to come back is not asked before",
    file: "apps/dispatcher/src/attachments/s3-once-more.ts",
    code: " && retryAfterHint === undefined",
    without: "",
    test: FETCH_TEST,
    fails: "is not asked again before it says",
  },
];
