import assert from "node:assert/strict";
import { test } from "node:test";
import { isInvite, readMediaType, withCharset } from "@async-mail/domain/media-type";

const ACCEPTED = [
  "text/plain",
  "text/plain; charset=utf-8",
  'a/b;c="d e; f=g" ; h=i;',
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  'text/calendar; method="REQUEST"',
];

for (const type of ACCEPTED) {
  test(`media type: ${type}`, () =>
    assert.deepEqual(readMediaType(` ${type} `), { ok: true, value: { type, name: null } }));
}

const REFUSED: [type: string, fault: RegExp][] = [
  ["text", /is not a media type/],
  ["text/", /is not a media type/],
  ["a/b; c", /is not a media type/],
  ['a/b; c="d', /is not a media type/],
  ["a/b\r\nX: y", /is not a media type/],
  ["a/b; c=\u00fc", /is not a media type/],
  ["multipart/mixed", /is no type of one file/],
  ["a/b; name=x; boundary=y", /has the parameter boundary/],
  ["a; name=x", /is not a media type/],
  ["name=x", /is not a media type/],
  ['a/b; name="x"y; c', /is not a media type/],
  ["a/b; charset*=utf-8''x", /has the parameter charset\*/],
  ["a/b; boundary=x", /has the parameter boundary/],
  [`a/b; c=${"d".repeat(71)}`, /c is longer than 70 characters/],
  [`a/b${"; c=d".repeat(120)}`, /longer than 500 characters/],
  [`a/b; name=x${"; c=d".repeat(120)}`, /longer than 500 characters/],
  [`a/b; name=${"x".repeat(2000)}`, /longer than 2000 characters/],
];

for (const [type, fault] of REFUSED) {
  test(`media type: ${type.slice(0, 40)} is refused`, () => {
    const read = readMediaType(type);
    assert.ok(!read.ok, "it was accepted");
    assert.match(read.fault, fault);
  });
}

const NAMED: [type: string, kept: string, name: string][] = [
  ["application/pdf; name=x.pdf", "application/pdf", "x.pdf"],
  ['a/b; Name="x;y.pdf" ; c=d', "a/b; c=d", "x;y.pdf"],
  ['a/b; c="; name=e" ;name = my report.pdf;', 'a/b; c="; name=e"', "my report.pdf"],
  ['a/b; name="M\u00e4rz \\"1\\".pdf"', "a/b", 'M\u00e4rz "1".pdf'],
  ['a/b; name="C:\\dir\\x.pdf"', "a/b", "C:\\dir\\x.pdf"],
  ["a/b; name=", "a/b", ""],
  ["a/b; name=x\r\nBcc: y", "a/b", "x\r\nBcc: y"],
  ["a/b; name=ascii.pdf; name*=utf-8''M%C3%A4rz.pdf", "a/b", "M\u00e4rz.pdf"],
  ["a/b; name*=iso-8859-1'de'M%E4rz.pdf", "a/b", "M\u00e4rz.pdf"],
  ["a/b; name*1=\"rz.pdf\"; name*0*=UTF-8''M%C3%A4", "a/b", "M\u00e4rz.pdf"],
  ["a/b; name*0=one; name*1=.pdf; c=d", "a/b; c=d", "one.pdf"],
  ["a/b; name*=utf-8''M%E4rz.pdf", "a/b", "utf-8''M%E4rz.pdf"],
  ["a/b; name*=none-such''x.pdf", "a/b", "none-such''x.pdf"],
  ["a/b; name*=x%20y.pdf", "a/b", "x y.pdf"],
  [`a/b; name=${"n".repeat(1000)}`, "a/b", "n".repeat(1000)],
];

for (const [type, kept, name] of NAMED) {
  test(`media type: a name in it stands apart: ${JSON.stringify(type.slice(0, 60))}`, () =>
    assert.deepEqual(readMediaType(type), { ok: true, value: { type: kept, name } }));
}

test("media type: a hostile one costs no more than its length", () => {
  for (const type of [`a/b${"; c=d".repeat(99)}\u00fc`, `a/b;${" ".repeat(490)}x`, `a/b; c="${"x".repeat(480)}`])
    assert.equal(readMediaType(type).ok, false);
  for (const piece of ['"', '\\"', ";name=", '; name*0="', " ", '"\\'])
    for (const count of [300, 5_000_000]) assert.equal(readMediaType(`a/${piece.repeat(count)}`).ok, false);
});

test("media type: a calendar entry with a method is an invitation, and calendar entries are UTF-8", () => {
  assert.equal(isInvite("text/calendar; method=REQUEST"), true);
  assert.equal(isInvite('Text/Calendar; charset=utf-8; METHOD="REPLY"'), true);
  for (const type of ["text/calendar", 'text/calendar; x="; method=REQUEST"', "text/plain; method=REQUEST"])
    assert.equal(isInvite(type), false);
  assert.equal(withCharset("text/calendar;"), "text/calendar; charset=utf-8");
  assert.equal(withCharset("text/calendar; charset=latin1"), "text/calendar; charset=latin1");
  assert.equal(withCharset("text/plain"), "text/plain");
});
