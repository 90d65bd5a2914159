import assert from "node:assert/strict";
import test from "node:test";
import { createHostList } from "@async-mail/runtime/host-list";

test("names match in any case, with or without the last dot, and however they spell their letters", () => {
  const list = createHostList(["Relay.LAN", "files.example.", "Bücher.example", "under_score.lan"]);
  for (const name of ["relay.lan", "RELAY.lan.", "files.example", "FILES.example."]) assert.ok(list.names(name), name);
  for (const name of ["xn--bcher-kva.example", "bücher.example.", "under_score.lan"]) assert.ok(list.names(name), name);
  for (const name of ["lan", "a.relay.lan", "relay.lan.example", "relay.lan..", ""]) assert.ok(!list.names(name), name);
});

test("addresses match by what they are, not by how they are written", () => {
  const list = createHostList(["10.1.2.3", "2001:DB8:0:0::5", "::ffff:10.9.0.1"]);
  const held = ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203", "2001:db8::5", "2001:db8::0.0.0.5", "10.9.0.1"];
  for (const address of held) assert.ok(list.holds(address), address);
  for (const address of ["10.1.2.4", "::10.1.2.3", "2001:db8::6", "::10.9.0.1"])
    assert.ok(!list.holds(address), address);
});

test("networks hold their addresses, also where they are not written from their first", () => {
  const list = createHostList(["10.1.2.3/16", "fd12::/16", "192.0.2.128/25", "::ffff:172.16.0.0/108"]);
  for (const address of ["10.1.255.255", "::ffff:10.1.0.0", "fd12:ffff::1", "192.0.2.128", "172.31.0.1"])
    assert.ok(list.holds(address), address);
  for (const address of ["10.2.0.0", "fd13::", "192.0.2.127", "172.32.0.1"]) assert.ok(!list.holds(address), address);
});

test("a network of all holds its own family only", () => {
  assert.ok(createHostList(["0.0.0.0/0"]).holds("203.0.113.1"));
  assert.ok(!createHostList(["0.0.0.0/0"]).holds("2001:db8::1"));
  assert.ok(createHostList(["::/0"]).holds("2001:db8::1"));
  assert.ok(!createHostList(["::/0"]).holds("203.0.113.1"));
});

test("what is no plain address is held by no network, and an address is no name", () => {
  const list = createHostList(["0.0.0.0/0", "::/0"]);
  for (const text of ["", "localhost", "127.1", "0x7f.0.0.1", "10.0.0.1.", "[::1]", "fe80::1%eth0", "10.0.0.0/8"])
    assert.ok(!list.holds(text), text);
  assert.ok(!createHostList(["10.0.0.1", "::1"]).names("10.0.0.1"));
  assert.ok(!createHostList([]).holds("10.0.0.1"));
});
