/** Names of files in many scripts, and with marks that mean something to a header. */
export const FILE_NAMES = [
  ...[
    "report.pdf",
    "Rechnung für Jörg.pdf",
    "日本語の請求書.pdf",
    "Счёт № 5.xlsx",
    "فاتورة.pdf",
    "חשבונית.docx",
    "ใบแจ้งหนี้.txt",
  ],
  ...["हिन्दी.csv", "😀 party 👩‍🚀.png", "cafe\u0301.txt", "a'b.txt", 'say "hi".txt', "semi;colon, comma=equals.txt"],
  ...["100% sure.txt", "utf-8''fake.txt", "(brackets) [and] {braces}.bin", "no-extension", ".hidden", "a.b.c.tar.gz"],
  ...[`${"long ".repeat(20)}name.txt`, `${"é".repeat(100)}.txt`, `${"日".repeat(70)}.txt`, `${"x".repeat(240)}.bin`],
];

/** Python shows a space between the encoded words of longer ones. */
export const NAMES = [
  ...[
    "",
    "Ann Lee",
    "Rossi, Mario",
    'The "Boss"',
    "Jörg Müller",
    "山田 太郎",
    "Иван Петров",
    "محمد علي",
    "O'Neil (UK)",
  ],
  ...["info@example.com", "a; b: c", "back\\slash", "😀", "Dr. J. Q. Public, Ph.D.", "x".repeat(45), "é".repeat(15)],
];

export const ADDRESSES = [
  ...[
    "ann@example.com",
    "mario.rossi@sub.example.org",
    "user+tag@example.net",
    "o'neil@example.com",
    "joerg@bücher.example",
  ],
  ...[
    "taro@中国.example",
    "jörg@example.com",
    "用户@例子.example",
    '"john,doe"@example.com',
    `${"x".repeat(70)}@example.com`,
  ],
];

export const SUBJECTS = [
  ...[
    "",
    "Hello",
    "  spaced   out  ",
    "Grüße aus Zürich — 日本語 ✉",
    "مرحبا بالعالم",
    "Привет, мир",
    'quotes " and \\ marks <>',
  ],
  ...[
    "x".repeat(2500),
    "word ".repeat(300).trim(),
    "日本".repeat(700),
    "😀".repeat(150),
    "Re: [list] =?utf-8?Q?broken",
    "a\r\nb",
  ],
];

export const BODIES = [
  ...["", "Hello", "Dear all,\n\nGreetings\n", "a\r\nb\r\n\r\nc", "old\rmac\rlines", "mixed\r\nand\nand\rall\r\r\n\n"],
  ...[
    ".\n..\n.dot\n\n.\n",
    "From me\n>From you\nFrom them",
    "x".repeat(10_000),
    "word ".repeat(5000),
    "é".repeat(4000),
  ],
  ...[
    "日本語の本文\n".repeat(200),
    "trailing \nspaces\t\n  \n",
    " \n\t",
    "=\n=20\n=3D=\r\n",
    "tab\there\u000bvt\u000cff",
  ],
  ...[
    "nul\0in\0it",
    "half \ud800 of a character",
    "\ufeffbom",
    "--_NmP-\n--\nContent-Type: text/html\n\n<b>",
    "line\u2028sep\u0085nel",
  ],
  ...[
    "😀".repeat(3000),
    `${"a".repeat(75)}\n${"b".repeat(76)}\n${"c".repeat(77)}\n${"d".repeat(998)}\n${"e".repeat(999)}`,
  ],
];

export const HEADER_VALUES = [
  ...[
    "plain",
    "Grüße",
    "日本語",
    "word ".repeat(60).trim(),
    "é".repeat(300),
    "a  b   c",
    "<https://example.com/?a=1&b=2>",
  ],
  ...['"quoted"; param=value', "x".repeat(900), '{"json": [1, 2]}', "a\r\nBcc: evil@example.com"],
];
