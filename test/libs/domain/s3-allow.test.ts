import assert from "node:assert/strict";
import { test } from "node:test";
import { isS3Allowed } from "@async-mail/domain/s3-allow";
import { readS3 } from "@async-mail/domain/s3-object";

test("s3.allow: an empty list allows all", () => {
  for (const key of ["k", "a/b", "../x", "a//b", "/"]) assert.ok(isS3Allowed([], { bucket: "any", key }));
});

const lists: { allow: string[]; yes: [string, string][]; no: [string, string][] }[] = [
  {
    allow: ["docs"],
    yes: [
      ["docs", "a"],
      ["docs", "a/b/c.pdf"],
      ["docs", "..a/b.."],
      ["docs", "..."],
      ["docs", "a%20b"],
    ],
    no: [
      ["doc", "a"],
      ["docs2", "a"],
      ["Docs", "a"],
      ["other", "docs/a"],
    ],
  },
  { allow: ["docs/"], yes: [["docs", "a/b"]], no: [["docs2", "a"]] },
  {
    allow: ["docs/inv"],
    yes: [
      ["docs", "inv"],
      ["docs", "inv/x"],
      ["docs", "inv/x/y.pdf"],
    ],
    no: [
      ["docs", "invoices"],
      ["docs", "invoices/x"],
      ["docs", "in"],
      ["docs", "x/inv/y"],
      ["docs", "INV/x"],
      ["inv", "inv/x"],
    ],
  },
  {
    allow: ["docs/inv/"],
    yes: [["docs", "inv/x"]],
    no: [
      ["docs", "inv"],
      ["docs", "inv/"],
      ["docs", "invoices/x"],
    ],
  },
  {
    allow: ["docs/a/b", "other"],
    yes: [
      ["docs", "a/b/c"],
      ["other", "a"],
    ],
    no: [
      ["docs", "a/c"],
      ["docs", "a"],
    ],
  },
];

for (const { allow, yes, no } of lists)
  test(`s3.allow: a prefix ends at a slash: ${allow.join(", ")}`, () => {
    for (const [bucket, key] of yes) assert.ok(isS3Allowed(allow, { bucket, key }), `${bucket}/${key}`);
    for (const [bucket, key] of no) assert.ok(!isS3Allowed(allow, { bucket, key }), `${bucket}/${key}`);
  });

const ambiguous = [
  "inv/../secret",
  "inv/..",
  "../docs2/secret",
  "./inv/x",
  "inv/./x",
  "inv//x",
  "/inv/x",
  "inv/",
  "inv/%2e%2E/secret",
  "inv/.%2e/secret",
  "inv%2f..%2Fsecret",
  "inv\\..\\secret",
  "inv/..\\secret",
  "inv%5c../secret",
];
for (const key of ambiguous)
  test(`s3.allow: a key that a gateway may take for another is in no list: ${key}`, () => {
    assert.ok(!isS3Allowed(["docs", "docs/inv"], { bucket: "docs", key }));
  });

test("s3: what is well-formed is kept as it is", () => {
  const longKey = "é".repeat(512);
  for (const s3 of [
    { bucket: "docs", key: "a" },
    { bucket: "abc", key: " a + b?#%/日本語/😀 " },
    {
      bucket: "My_Old.Bucket-1",
      key: longKey,
      version_id: "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo",
    },
    { bucket: "b".repeat(255), key: "../a", version_id: "null" },
  ])
    assert.deepEqual(readS3(s3), { ok: true, value: s3 });
  assert.deepEqual(readS3({ bucket: "docs", key: "a", version_id: null }), {
    ok: true,
    value: { bucket: "docs", key: "a" },
  });
});

const faults: [Parameters<typeof readS3>[0], string][] = [
  [{ bucket: "", key: "k" }, "bucket: empty"],
  [{ bucket: "docs", key: "" }, "key: empty"],
  [{ bucket: "ab", key: "k" }, 'bucket: "ab" is not the name of a bucket'],
  [{ bucket: "docs/in", key: "k" }, 'bucket: "docs/in" is not the name of a bucket'],
  [{ bucket: "..", key: "k" }, 'bucket: ".." is not the name of a bucket'],
  [{ bucket: "docs:1", key: "k" }, 'bucket: "docs:1" is not the name of a bucket'],
  [{ bucket: "do cs", key: "k" }, 'bucket: "do cs" is not the name of a bucket'],
  [{ bucket: "docs\n", key: "k" }, 'bucket: "docs\\n" is not the name of a bucket'],
  [{ bucket: "döcs", key: "k" }, 'bucket: "döcs" is not the name of a bucket'],
  [{ bucket: "docs.", key: "k" }, 'bucket: "docs." is not the name of a bucket'],
  [{ bucket: "b".repeat(256), key: "k" }, `bucket: "${"b".repeat(99)}…" is not the name of a bucket`],
  [
    { bucket: "arn:aws:s3:eu-west-1:123456789012:accesspoint/x", key: "k" },
    "bucket: an ARN, the name of a bucket is wanted",
  ],
  [{ bucket: "docs", key: "a\nb" }, "key: has control characters"],
  [{ bucket: "docs", key: "a\0" }, "key: has control characters"],
  [{ bucket: "docs", key: "\ud800" }, "key: not well-formed Unicode"],
  [{ bucket: "docs", key: `${"é".repeat(512)}x` }, "key: longer than 1024 bytes"],
  [{ bucket: "docs", key: "k", version_id: "a\r\nb" }, "version_id: has control characters"],
];
for (const [s3, fault] of faults)
  test(`s3: ${fault}`, () => {
    assert.deepEqual(readS3(s3), { ok: false, fault });
  });
