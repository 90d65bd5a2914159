import assert from "node:assert/strict";
import { test } from "node:test";
import { encodedWords, isEncodedWord } from "@async-mail/domain/encoded-word";

const KEPT = [
  "=?utf-8?Q?J=C3=B6rg?=",
  "=?UTF-8?b?5pel5pys?=",
  "=?utf-8*de?Q?J=C3=B6rg?=",
  "=?us-ascii?q?a=09b_c?=",
  "=?iso-8859-1?Q?J=F6rg?=",
  "=?ISO-8859-15?Q?=A4?=",
  "=?windows-1252?Q?a=85?=",
  "=?koi8-r?B?8NLJ18XU?=",
  "=?gb2312?B?xOO6ww==?=",
  "=?GBK?B?xOO6ww==?=",
  "=?gb18030?B?xOO6ww==?=",
  "=?big5?B?p0Gmbg==?=",
  "=?euc-jp?B?xvzL3A==?=",
  "=?euc-kr?B?x9HB1g==?=",
  "=?Shift_JIS?B?k/qWew==?=",
];

for (const word of KEPT) test(`encoded word: ${word} stays`, () => assert.ok(isEncodedWord(word)));

/** What some reader would see more in than one line of text. */
const REFUSED = [
  ...["=?utf-8?Q?=0D=0AX-Evil:_1?=", "=?utf-8?Q?=0aX?=", "=?utf-8?B?DQpY?=", "=?utf-8?Q?=00?=", "=?us-ascii?Q?=0B?="],
  // U+0085 and U+2028, in several charsets.
  ...["=?utf-8?Q?=C2=85X?=", "=?utf-8?Q?=E2=80=A8X?=", "=?utf-8?B?4oCpWA==?=", "=?iso-8859-1?Q?=85X?="],
  ...["=?gb18030?Q?=81=30=81=35X?=", "=?euc-jp?Q?=85X?=", "=?us-ascii?Q?=85X?="],
  // Charsets whose ASCII is not ASCII, changes, or is not known.
  ...["=?utf-7?Q?+AA0ACg-X-Evil:_1?=", "=?cp037?Q?=25X-Evil?=", "=?utf-16?B?AA0ACg==?=", "=?hz-gb-2312?Q?~{?="],
  ...["=?iso-2022-jp?B?GyRCJCIbKEI=?=", "=?unicode-1-1-utf-7?Q?+AAo-?=", "=?x-unknown?Q?a?=", "=?iso-8859-17?Q?a?="],
  // Half a character, or half its encoding: another half may stand beside it.
  ...["=?utf-8?Q?=E2=80?=", "=?utf-8?Q?a=0?=", "=?utf-8?Q?a=?=", "=?utf-8?B?D?=", "=?utf-8?B?Qo=?=", "=?utf-8?B?IA0?="],
  ...["=?utf-8?B?DQ==DQ==?=", "=?utf-8?B?a-_a?=", "=?utf-8?Q?a b?=", "=?utf-8?X?a?=", `=?utf-8?Q?${"a".repeat(70)}?=`],
];

for (const word of REFUSED) test(`encoded word: ${word} is text`, () => assert.ok(!isEncodedWord(word)));

test("encoded word: those of the service are such words", () => {
  for (const text of ["a\x01\x7f=?_ b", "ä".repeat(99), "日本😀".repeat(40), "mostly ASCII, and 😀 ü 日".repeat(20)])
    for (const word of encodedWords(text)) {
      assert.ok(word.length <= 60, word);
      assert.ok(isEncodedWord(word) || text.includes("\x01"), word);
    }
});
