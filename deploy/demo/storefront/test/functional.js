// Against the image, alone: the shop opens although nobody stands behind the counter.
import assert from "node:assert/strict";
import { test } from "node:test";

const BASE = "http://storefront:8080";

test("the page opens", async () => {
  const response = await fetch(BASE);
  assert.equal(response.status, 200);
  assert.match(await response.text(), /Harbour shop/);
});

test("nothing can be bought without orders", async () => {
  const response = await fetch(`${BASE}/api/buy`, { method: "POST", body: '{"sku":"rope","quantity":1}' });
  assert.equal(response.status, 503);
});
