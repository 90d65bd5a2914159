import assert from "node:assert/strict";
import test from "node:test";
import { readIni } from "@async-mail/runtime/ini-file";

function readValue(written: string): string | undefined {
  return readIni(`[s]\nk = ${written}\n`).entries[0]?.value;
}

function faultOf(line: string): string | undefined {
  return readIni(`[s]\n${line}\n`).faults[0]?.wanted;
}

test("sections, keys and values are found with their lines", () => {
  const { sections, entries, faults } = readIni(
    "\uFEFF; note\r\n[a]\r\nx=1\r\n # note\r\n\r\n[b]\r\n  y = two words \r\n",
  );
  assert.deepEqual(sections, [
    { name: "a", line: 2 },
    { name: "b", line: 6 },
  ]);
  assert.deepEqual(entries, [
    { section: "a", key: "x", value: "1", line: 3 },
    { section: "b", key: "y", value: "two words", line: 7 },
  ]);
  assert.deepEqual(faults, []);
});

test("quoted values are what stands between the quotes", () => {
  assert.equal(readValue('"a#b;c"'), "a#b;c");
  assert.equal(readValue("'a#b;c'"), "a#b;c");
  assert.equal(readValue('"a\\\\b\\"c"'), 'a\\b"c');
  assert.equal(readValue("'C:\\mail'"), "C:\\mail");
  assert.equal(readValue("'0123'"), "0123");
  assert.equal(readValue("'12345678901234567890'"), "12345678901234567890");
  assert.equal(readValue("true"), "true");
  assert.equal(readValue("a=b"), "a=b");
  assert.equal(readValue("DOMAIN\\user"), "DOMAIN\\user");
});

test("what the format would cut or misread is a fault", () => {
  assert.match(faultOf("k = pass#word")!, /in quotes/);
  assert.match(faultOf("k = 25 ; the port")!, /in quotes/);
  assert.match(faultOf("k = pass\\#word")!, /in quotes/);
  assert.match(faultOf('k = "open')!, /same quote at its end/);
  assert.match(faultOf("k = 'it's'")!, /same quote at its end/);
  assert.match(faultOf('k = "C:\\mail"')!, /within double quotes/);
  assert.match(faultOf('k = "a" ; note')!, /same quote at its end/);
});

test("a line that is nothing is a fault", () => {
  assert.equal(faultOf("just words"), "key = value");
  assert.equal(faultOf("key: value"), "key = value");
  assert.equal(faultOf("[b] ; note"), "[section] alone on its line");
  assert.equal(readIni("k = v\n").faults[0]?.wanted, "below a [section]");
});
