import { createServer } from "node:http";
import { page } from "./page.js";
import { buy, shopWindow } from "./shop.js";

const LARGEST_BODY = 64 * 1024;

export function shopServer(ask, version) {
  const routes = {
    "GET /": async () => ({ html: page(await shopWindow(ask)) }),
    "GET /api/shop": async () => ({ body: await shopWindow(ask) }),
    "POST /api/buy": async (request) => buy(ask, JSON.parse(await bodyOf(request))),
    "GET /healthz": async () => ({ body: { status: "ok" } }),
    "GET /version": async () => ({ body: { service: "storefront", version } }),
  };
  return createServer(async (request, response) => {
    const route = routes[`${request.method} ${request.url.split("?")[0]}`];
    const answer = route ? await guarded(route, request) : { status: 404, body: { error: "no such page" } };
    response.statusCode = answer.status ?? 200;
    response.setHeader("Content-Type", answer.html ? "text/html; charset=utf-8" : "application/json");
    response.end(answer.html ?? JSON.stringify(answer.body));
  });
}

async function guarded(route, request) {
  try {
    return await route(request);
  } catch (error) {
    if (error instanceof SyntaxError) return { status: 400, body: { error: "the body must be JSON" } };
    if (error instanceof RangeError) return { status: 413, body: { error: "the body is too large" } };
    console.error(error);
    return { status: 500, body: { error: "internal error" } };
  }
}

async function bodyOf(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > LARGEST_BODY) throw new RangeError("body too large");
  }
  return text;
}
