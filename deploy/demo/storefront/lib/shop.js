// What the shop window shows, put together from what the neighbours answer. A neighbour that is away costs its part of
// the page, never the page.

const NEIGHBOURS = ["catalogue", "pricing", "orders", "labels"];

export async function shopWindow(ask) {
  const catalogue = await ask("catalogue", "/products");
  const products = await Promise.all(
    (catalogue.body?.products ?? []).map(async (product) => {
      const query = new URLSearchParams({ sku: product.sku, grams: product.grams });
      const price = await ask("pricing", `/price?${query}`);
      return { ...product, cents: price.body?.cents ?? null };
    }),
  );
  return { products, neighbours: await neighbours(ask) };
}

// Each neighbour's release, or null for one that is away.
export async function neighbours(ask) {
  const answers = await Promise.all(NEIGHBOURS.map((name) => ask(name, "/version")));
  return Object.fromEntries(NEIGHBOURS.map((name, i) => [name, answers[i].body?.version ?? null]));
}

// Order, then a label for the parcel.
export async function buy(ask, wanted) {
  const order = await ask("orders", "/orders", { sku: wanted.sku, quantity: wanted.quantity });
  if (order.status !== 201) {
    return { status: order.status ?? 503, body: order.body ?? { error: "orders are not taken at the moment" } };
  }
  const query = new URLSearchParams({ order: order.body.id, city: String(wanted.city ?? "") });
  const label = await ask("labels", `/label?${query}`);
  return { status: 201, body: { ...order.body, label: label.body?.label ?? null } };
}
