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
  test(`media type: ${type}`, () => assert.deepEqual(readMediaType(` ${type} `), { ok: true, value: type }));
}

const REFUSED: [type: string, fault: RegExp][] = [
  ["text", /is not a media type/],
  ["text/", /is not a media type/],
  ["a/b; c", /is not a media type/],
  ['a/b; c="d', /is not a media type/],
  ["a/b\r\nX: y", /is not a media type/],
  ["a/b; c=\u00fc", /is not a media type/],
  ["multipart/mixed", /is no type of one file/],
  ['a/b; Name="x"', /has a name, give it as filename/],
  ["a/b; name*0=x", /has the parameter name\*0/],
  ["a/b; charset*=utf-8''x", /has the parameter charset\*/],
  ["a/b; boundary=x", /has the parameter boundary/],
  [`a/b; c=${"d".repeat(71)}`, /c is longer than 70 characters/],
  [`a/b${"; c=d".repeat(120)}`, /longer than 500 characters/],
];

for (const [type, fault] of REFUSED) {
  test(`media type: ${type.slice(0, 40)} is refused`, () => {
    const read = readMediaType(type);
    assert.ok(!read.ok, "it was accepted");
    assert.match(read.fault, fault);
  });
}

test("media type: a hostile one costs no more than its length", () => {
  for (const type of [`a/b${"; c=d".repeat(99)}\u00fc`, `a/b;${" ".repeat(490)}x`, `a/b; c="${"x".repeat(480)}`])
    assert.equal(readMediaType(type).ok, false);
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
