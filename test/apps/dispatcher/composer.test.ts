import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { createComposer } from "@async-mail/dispatcher/composer";
import type { ComposeAnswer, ComposeTask } from "@async-mail/dispatcher/mime-text";
import type { Payload } from "@async-mail/domain/message";
import { type ParsedMail, simpleParser } from "mailparser";
import { START_MS } from "../../support/clock.ts";
import { withAttachments } from "../../support/whole-message.ts";

const composer = createComposer({ threads: 2, onError: (error) => assert.fail(String(error)) });
after(() => composer.close());

const MESSAGE_ID = "<fixed@example.com>";

/** Too large to be composed at once. */
const LARGE = 1e6;

function compose(payload: Partial<Payload>, bytes = LARGE): Promise<ComposeAnswer> {
  return composer.compose(taskOf(payload), bytes);
}

function taskOf(payload: Partial<Payload>): ComposeTask {
  return {
    payload: { id: "m1", from: "sender@example.com", to: "a@example.org", subject: "Hello", body: "Text", ...payload },
    messageId: MESSAGE_ID,
    dateMs: START_MS,
    attachedAs: (payload.attachments ?? []).map(() => "base64"),
  };
}

async function raw(payload: Partial<Payload>, contents?: Uint8Array[]): Promise<Buffer> {
  const answer = await compose(payload);
  assert.ok(answer.ok, JSON.stringify(answer));
  return withAttachments(answer, contents);
}

async function parsed(payload: Partial<Payload>, contents?: Uint8Array[]): Promise<ParsedMail> {
  return simpleParser(await raw(payload, contents));
}

function addresses(list: ParsedMail["to"]): unknown[] {
  return [list ?? []].flat().flatMap((one) => one.value.map(({ name, address }) => [name, address]));
}

describe("a composed message reads back as it was posted", () => {
  it("plain", async () => {
    const mail = await parsed({ body: "First line\n\n.dot\nlast" });
    assert.equal(textOf(mail), "First line\n\n.dot\nlast");
    assert.equal(mail.html, false);
    assert.equal(mail.subject, "Hello");
    assert.deepEqual(addresses(mail.from), [["", "sender@example.com"]]);
    assert.deepEqual(addresses(mail.to), [["", "a@example.org"]]);
    assert.equal(mail.messageId, MESSAGE_ID);
    assert.equal(mail.date?.getTime(), START_MS);
  });

  it("html, alone and with the plain alternative", async () => {
    const alone = await parsed({ body: "<p>Hi</p>", content_type: "html" });
    assert.equal(htmlOf(alone), "<p>Hi</p>");
    const both = await parsed({ body: "Hi", html: "<p>Hi</p>" });
    assert.deepEqual([textOf(both), htmlOf(both)], ["Hi", "<p>Hi</p>"]);
    assert.match(await header(both, "content-type"), /alternative/);
  });

  it("an empty body is an empty body, attachments or not", async () => {
    assert.equal(textOf(await parsed({ body: "" })) ?? "", "");
    const mail = await parsed({ body: "", attachments: [{ filename: "a.txt", size: 2 }] }, [Buffer.from("hi")]);
    assert.equal(textOf(mail) ?? "", "");
    assert.equal(mail.attachments.length, 1);
  });

  it("cc in the header, bcc nowhere", async () => {
    const text = await raw({ cc: ["c@example.org", "Dee <d@example.org>"], bcc: "hidden@example.org" });
    assert.doesNotMatch(text.toString(), /bcc|hidden/i);
    assert.deepEqual(addresses((await simpleParser(text)).cc), [
      ["", "c@example.org"],
      ["Dee", "d@example.org"],
    ]);
  });

  it("letters of all the world, in subject, names and text", async () => {
    const mail = await parsed({
      from: "Zoë Müller <zoe@müller.example>",
      to: "日本 <a@example.org>",
      subject: "Grüße — ¡olé! 日本語のとても長い件名です、折り返しが必要になるくらい長い件名です 🎉",
      body: "Прывітанне 🎉\n",
    });
    assert.equal(mail.subject, "Grüße — ¡olé! 日本語のとても長い件名です、折り返しが必要になるくらい長い件名です 🎉");
    assert.deepEqual(addresses(mail.from), [["Zoë Müller", "zoe@müller.example"]]);
    assert.deepEqual(addresses(mail.to), [["日本", "a@example.org"]]);
    assert.equal(mail.text, "Прывітанне 🎉\n");
  });

  it("long lines, without a line in the text that servers refuse", async () => {
    const body = `${"x".repeat(5_000)}\n${"ä".repeat(3_000)}`;
    const text = await raw({ body, subject: "word ".repeat(300).trim() });
    assert.ok(
      text
        .toString("latin1")
        .split("\r\n")
        .every((line) => line.length <= 998),
    );
    const mail = await simpleParser(text);
    assert.ok(textOf(mail) === body, "another text");
    assert.equal(mail.subject, "word ".repeat(300).trim());
  });

  it("display names with commas, and a reply address", async () => {
    const mail = await parsed({ from: '"Doe, Jane" <jane@example.com>', reply_to: '"Desk, Help" <help@example.com>' });
    assert.deepEqual(addresses(mail.from), [["Doe, Jane", "jane@example.com"]]);
    assert.deepEqual(addresses(mail.replyTo), [["Desk, Help", "help@example.com"]]);
  });

  it("headers of the client's own", async () => {
    const mail = await parsed({
      headers: { "X-Campaign": "spring 4", "X-Season": "früh", "List-Unsubscribe": "<https://example.com/u>" },
    });
    assert.equal(mail.headers.get("x-campaign"), "spring 4");
    assert.equal(mail.headers.get("x-season"), "=?UTF-8?Q?fr=C3=BCh?=", "an encoded word, RFC 2047");
    assert.match(await header(mail, "list"), /example\.com\/u/);
  });

  it("attachments: bytes, name and type, and inline images", async () => {
    const png = Buffer.alloc(3_000_000, "png bytes ");
    const mail = await parsed(
      {
        html: '<img src="cid:logo@example.com">',
        attachments: [
          { filename: "logo.png", content_id: "logo@example.com", size: png.length },
          { filename: "Übersicht, neu.pdf", size: 3 },
          { size: 4, content_type: "application/x-own" },
        ],
      },
      [png, Buffer.from("pdf"), Buffer.from("data")],
    );
    assert.deepEqual(
      mail.attachments.map((one) => [one.filename, one.contentType, one.content.length, one.related ?? false]),
      [
        ["logo.png", "image/png", 3_000_000, true],
        ["Übersicht, neu.pdf", "application/pdf", 3, false],
        ["attachment", "application/x-own", 4, false],
      ],
    );
    assert.equal(mail.attachments[0]?.contentId, "<logo@example.com>");
    assert.ok(mail.attachments[0]?.content.equals(png));
  });
});

describe("a second composing", () => {
  it("has the same Message-ID and Date", async () => {
    const [first, second] = [await parsed({}), await parsed({})];
    assert.equal(second.messageId, first.messageId);
    assert.equal(second.date?.getTime(), first.date?.getTime());
  });
});

describe("a light message", () => {
  it("is composed at once, to the same bytes", async () => {
    const payloads = [
      { body: "One\nline.\n\n.dot \ntrailing \t" },
      { body: `${"long ".repeat(50)}\n=41`, subject: "Größe" },
      { body: "ごきげんよう。\n".repeat(20), content_type: "html" },
      { body: "", from: '"A, B" <a@example.com>', cc: "jörg@example.org" },
    ];
    for (const payload of payloads) {
      const [here, there] = [await compose(payload, 0), await compose(payload)];
      assert.ok(here.ok && there.ok);
      assert.deepEqual(Buffer.from(here.text).toString(), Buffer.from(there.text).toString());
      assert.deepEqual({ ...here, text: null }, { ...there, text: null });
    }
  });

  it("that cannot be composed is an answer that names the cause, for good", async () => {
    const answer = await compose({ to: "nobody" }, 0);
    assert.ok(!answer.ok && answer.permanent);
    assert.match(answer.reason, /no mail could be made of it/);
  });

  it("needs no thread", async () => {
    const worker = new URL("./deadly.worker.ts", import.meta.url);
    const deadly = createComposer({ threads: 1, worker, onError: () => {} });
    assert.ok((await deadly.compose(taskOf({ subject: "crash" }), 100)).ok);
    await deadly.close();
  });
});

describe("the texts of a message", () => {
  it("are 7bit, quoted-printable or base64, and read back as they were posted", async () => {
    const texts = {
      "7bit": ["plain", "a\n\nb\n", "x".repeat(76), "\ttab"],
      "quoted-printable": ["perché no", "x".repeat(77), "space at the end ", "bell \x07", "four=\x7f"],
      base64: ["日本語", "🎉🎉🎉"],
    };
    for (const [encoding, bodies] of Object.entries(texts))
      for (const body of bodies) {
        const text = (await raw({ body })).toString("latin1");
        assert.match(text, new RegExp(`^Content-Transfer-Encoding: ${encoding}\r$`, "m"), body);
        assert.ok(text.endsWith("\r\n"), body);
        assert.ok(
          text.split("\r\n").every((line) => line.length <= 76 && !/[^\t\x20-\x7e]/.test(line)),
          body,
        );
        const mail = await parsed({ body });
        assert.equal(textOf(mail), body.replace(/\n$/, ""), encoding);
      }
  });
});

describe("the envelope's sender", () => {
  it("is the return path, else the address of from", async () => {
    const sender = async (payload: Partial<Payload>) => {
      const answer = await compose(payload);
      return answer.ok && answer.sender;
    };
    assert.equal(await sender({ from: "Me <me@example.com>" }), "me@example.com");
    assert.equal(await sender({ return_path: "bounce@example.com" }), "bounce@example.com");
    assert.equal(await sender({ return_path: "<>" }), "");
  });
});

describe("what cannot be composed", () => {
  it("is an answer that names the cause, for good", async () => {
    const answer = await compose({ to: "nobody" });
    assert.ok(!answer.ok && answer.permanent);
    assert.match(answer.reason, /no mail could be made of it/);
  });
});

describe("a message that takes its thread down", () => {
  const worker = new URL("./deadly.worker.ts", import.meta.url);

  async function composeAll(subjects: string[]): Promise<Record<string, ComposeAnswer>> {
    const deadly = createComposer({ threads: 1, worker, timeoutMs: 4_000, onError: () => {} });
    const answers = await Promise.all(
      subjects.map(async (subject) => [subject, await deadly.compose(taskOf({ subject }), LARGE)] as const),
    );
    await deadly.close();
    return Object.fromEntries(answers);
  }

  it("fails alone, with the cause, and those beside it are composed", async () => {
    const answers = await composeAll(["one", "crash", "two", "three"]);
    for (const subject of ["one", "two", "three"])
      assert.equal(answers[subject]?.ok, true, JSON.stringify(answers).slice(0, 500));
    const crashed = answers.crash;
    assert.ok(crashed && !crashed.ok && crashed.permanent);
    assert.match(crashed.reason, /^composing failed: .*exit/);
  });

  it("fails alone when it hangs, and may be tried again", async () => {
    const answers = await composeAll(["one", "hang", "two"]);
    for (const subject of ["one", "two"]) assert.equal(answers[subject]?.ok, true, subject);
    const hung = answers.hang;
    assert.ok(hung && !hung.ok && !hung.permanent);
    assert.match(hung.reason, /not done within 4 s/);
  });
});

/** MIME ends every text with a line break. */
function textOf(mail: ParsedMail): string | undefined {
  return mail.text?.replace(/\n$/, "");
}

function htmlOf(mail: ParsedMail): string {
  return String(mail.html).replace(/\n$/, "");
}

async function header(mail: ParsedMail, name: string): Promise<string> {
  return JSON.stringify(mail.headers.get(name) ?? "");
}
