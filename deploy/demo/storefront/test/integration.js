// In the environment: whoever is there takes part, whoever isn't deployed yet is shown as away.
import assert from "node:assert/strict";
import { test } from "node:test";

const SHOP = "http://storefront:8080";
const isThere = async (service) => {
  const answer = await fetch(`http://${service}:8080/healthz`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
  return answer?.status === 200;
};

test("every neighbour that is deployed is seen from the shop", async () => {
  const { neighbours } = await (await fetch(`${SHOP}/api/shop`)).json();
  for (const [name, version] of Object.entries(neighbours)) {
    if (await isThere(name)) assert.notEqual(version, null, `${name} is deployed, and the shop doesn't see it`);
  }
});

test("rope can be bought and gets a label", async (t) => {
  const needed = ["catalogue", "pricing", "orders", "labels"];
  const there = await Promise.all(needed.map(isThere));
  const away = needed.filter((_, i) => !there[i]);
  if (away.length > 0) return t.skip(`not deployed here yet: ${away.join(", ")}`);
  const body = JSON.stringify({ sku: "rope", quantity: 2, city: "Husum" });
  const response = await fetch(`${SHOP}/api/buy`, { method: "POST", body });
  const bought = await response.json();
  assert.equal(response.status, 201, JSON.stringify(bought));
  assert.match(bought.label, /HUSUM/);
});
