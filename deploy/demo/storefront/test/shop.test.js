import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { euros, page } from "../lib/page.js";
import { shopServer } from "../lib/server.js";
import { buy, shopWindow } from "../lib/shop.js";

const ANSWERS = {
  "catalogue /products": { status: 200, body: { products: [{ sku: "rope", name: "Rope", grams: 1900 }] } },
  "pricing /price?sku=rope&grams=1900": { status: 200, body: { sku: "rope", cents: 3175 } },
  "orders /orders": { status: 201, body: { id: "abc", total_cents: 3565 } },
  "labels /label?order=abc&city=Husum": { status: 200, body: { label: "abc / HUSUM" } },
  "pricing /version": { status: 200, body: { version: "1.2.3" } },
};
const all = async (service, path) => ANSWERS[`${service} ${path}`] ?? {};
const without = (missing) => async (service, path) => (service === missing ? {} : all(service, path));

test("the shop window shows goods with their prices", async () => {
  const { products } = await shopWindow(all);
  assert.deepEqual(products, [{ sku: "rope", name: "Rope", grams: 1900, cents: 3175 }]);
});

test("goods are shown without prices while pricing is away", async () => {
  const { products, neighbours } = await shopWindow(without("pricing"));
  assert.equal(products[0].cents, null);
  assert.equal(neighbours.pricing, null);
});

test("an empty shop opens while the catalogue is away", async () => {
  assert.match(page(await shopWindow(without("catalogue"))), /shelves are being filled/);
});

test("buying gives an order with a label", async () => {
  const bought = await buy(all, { sku: "rope", quantity: 1, city: "Husum" });
  assert.deepEqual(bought, { status: 201, body: { id: "abc", total_cents: 3565, label: "abc / HUSUM" } });
});

test("an order needs no label to be taken", async () => {
  const bought = await buy(without("labels"), { sku: "rope", quantity: 1, city: "Husum" });
  assert.equal(bought.body.label, null);
});

test("nothing is sold while orders are away", async () => {
  assert.equal((await buy(without("orders"), { sku: "rope", quantity: 1 })).status, 503);
});

test("names are text, never markup", () => {
  const shown = page({ products: [{ name: "<script>", cents: 1 }], neighbours: {} });
  assert.ok(!shown.includes("<script>"));
});

test("an amount is shown in euros", () => {
  assert.equal(euros(3175), "31.75 €");
});

test("a body that is no JSON is refused", async (t) => {
  const server = shopServer(all, "test").listen(0);
  t.after(() => server.close());
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}/api/buy`;
  const response = await fetch(url, { method: "POST", body: "rope, please", headers: { connection: "close" } });
  assert.equal(response.status, 400);
});
