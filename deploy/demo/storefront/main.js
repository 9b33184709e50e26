import { ask } from "./lib/neighbours.js";
import { shopServer } from "./lib/server.js";

const server = shopServer(ask, process.env.SLIPWAY_VERSION ?? "unknown");
server.listen(Number(process.env.PORT ?? 8080), () => console.log(`storefront listens on ${server.address().port}`));

for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => {
    // Requests under way are finished; idle connections would only keep the process alive.
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setInterval(() => server.closeIdleConnections(), 50).unref();
    setTimeout(() => process.exit(1), 8000).unref();
  });
}
