import fc from "fast-check";

/** What has broken mail software before: each wants to become a header, a recipient, a command or another message. */
const ATTACKS = [
  "\r\nBcc: evil@evil.example",
  "\nBcc: evil@evil.example\n",
  "\rBcc: evil@evil.example\r",
  "\r\n\r\n<p>a body of my own</p>",
  "\r\n.\r\nMAIL FROM:<evil@evil.example>\r\nRCPT TO:<evil@evil.example>\r\nDATA\r\n",
  "\n.\n",
  "\r.\r",
  "\r\n Bcc: evil@evil.example",
  "> NOTIFY=SUCCESS",
  ">\r\nRCPT TO:<evil@evil.example",
  "=?utf-8?Q?=0D=0ABcc:_evil@evil.example?=",
  "=?utf-8?B?DQpCY2M6IGV2aWxAZXZpbC5leGFtcGxl?=",
  "=?utf-8?Q?evil@evil.example,?=",
  "=?utf-8?Q?a b?=",
  "=?utf-7?Q?+AA0ACg-X-Evil:_1?=",
  "=?cp037?Q?=25X-Evil?=",
  "=?utf-8?Q?=E2=80=A8X-Evil:_1?=",
  " =?utf-8?B?D?= =?utf-8?B?QpY?= ",
  "<a@b> =?utf-8?Q?=0D=0AX-Evil:_1?=",
  "https:usr:pw@evil.example",
  "=?x?y?z?=",
  "=?",
  "?=",
  "%0d%0aBcc: evil@evil.example",
  "<evil@evil.example>",
  ", evil@evil.example",
  "; evil@evil.example",
  " evil@evil.example ",
  "evil@evil.example>, <",
  "a@[127.0.0.1]",
  "Friends: evil@evil.example;",
  "Bcc: evil@evil.example",
  "X-Evil: yes",
  "From evil@evil.example Thu Jan  1 00:00:00 1970",
  "--_NmP-",
  "Content-Type: text/html",
  'x"; name="evil.exe',
  "x; boundary=evil",
  "../../etc/passwd",
  "C:\\Windows\\evil.exe",
  "file:///etc/passwd",
  "data:text/html,evil",
  "__proto__",
  "constructor",
];

const CHARACTERS = [
  ..."\0\t\n\v\f\r\x1b\x7f\x85 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
  ...["\u00a0", "\u00ad", "\u200b", "\u200d", "\u200f", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\ufffe"],
  ...[
    "\ud800",
    "\udc00",
    "\uff0c",
    "\uff0e",
    "\uff1c",
    "\uff20",
    "ü",
    "ß",
    "İ",
    "ﬁ",
    "日",
    "本",
    "ع",
    "א",
    "😀",
    "👩‍🚀",
  ],
];

/** A few characters to a few thousand. */
export const hostileText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...ATTACKS) },
      { weight: 3, arbitrary: fc.constantFrom(...CHARACTERS) },
      { weight: 2, arbitrary: fc.string({ unit: "grapheme", maxLength: 12 }) },
      { weight: 2, arbitrary: fc.string({ maxLength: 30 }) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
      { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...CHARACTERS, "a", "é "), fc.nat(1500)).map(repeated) },
    ),
    { maxLength: 5 },
  )
  .map((pieces) => pieces.join(""));

function repeated([text, times]: [string, number]): string {
  return text.repeat(times);
}

/** Words as people write them, in several scripts. */
export const plainText: fc.Arbitrary<string> = fc
  .array(fc.constantFrom("Dear", "all,", "Grüße", "日本語", "данные", "مرحبا", "-", "1.5", "😀", "O'Neil", '"so"'), {
    minLength: 1,
    maxLength: 12,
  })
  .map((words) => words.join(" "));

/** Mostly `usual`, at times hostile text in its place. */
export function mostly<T>(usual: fc.Arbitrary<T>, weight = 6): fc.Arbitrary<T | string> {
  return fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: hostileText });
}
