/** `host:port` in all its forms. */
import { formatAddress, parseAddress } from "../../broker/address.ts";
import { assertEquals } from "../support/assert.ts";

Deno.test("parseAddress() reads names, IPv4 and bracketed IPv6", () => {
  assertEquals(parseAddress("localhost:8080"), {
    host: "localhost",
    port: 8080,
  });
  assertEquals(parseAddress("B1.Example:1"), { host: "b1.example", port: 1 });
  assertEquals(parseAddress("127.0.0.1:65535"), {
    host: "127.0.0.1",
    port: 65535,
  });
  assertEquals(parseAddress("[::1]:9092"), { host: "::1", port: 9092 });
});

Deno.test("parseAddress() refuses everything else", () => {
  const texts = [
    "",
    "localhost",
    "localhost:",
    ":8080",
    "localhost:0",
    "localhost:65536",
    "localhost:8080x",
    "localhost:-1",
    "::1:80",
    "[zz]:80",
    "[::1]",
    "a b:80",
    "-a:80",
    "a/b:80",
    "http://a:80",
    `${"a".repeat(254)}:80`,
  ];
  for (const text of texts) assertEquals(parseAddress(text), undefined, text);
});

Deno.test("formatAddress() writes what parseAddress() reads", () => {
  for (const text of ["localhost:8080", "[::1]:9092", "10.0.0.1:1"]) {
    const address = parseAddress(text);
    assertEquals(address && formatAddress(address), text);
  }
});
