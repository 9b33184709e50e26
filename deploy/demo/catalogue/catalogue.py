"""The goods of the shop: what they are and what they weigh.

GET /products            all of them
GET /products/<sku>      one
GET /healthz             200 while requests are taken
GET /version             the release that answers
"""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRODUCTS = [
    {"sku": "anchor", "name": "Folding anchor", "grams": 3200},
    {"sku": "lantern", "name": "Storm lantern", "grams": 850},
    {"sku": "rope", "name": "Mooring rope, 20 m", "grams": 1900},
]


def find(sku):
    """The product with this number, or None."""
    return next((product for product in PRODUCTS if product["sku"] == sku), None)


def answer(path):
    """Status and body for a path."""
    if path == "/healthz":
        return 200, {"status": "ok"}
    if path == "/version":
        return 200, {"service": "catalogue", "version": os.environ.get("SLIPWAY_VERSION", "unknown")}
    if path == "/products":
        return 200, {"products": PRODUCTS}
    if path.startswith("/products/"):
        product = find(path.removeprefix("/products/"))
        if product:
            return 200, product
        return 404, {"error": "no such product"}
    return 404, {"error": "no such page"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self):
        status, body = answer(self.path.partition("?")[0])
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        if self.server.stopping:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    stopping = False

    def stop(self, *_):
        self.stopping = True
        threading.Thread(target=self.shutdown).start()


def main():
    server = Server(("", int(os.environ.get("PORT", "8080"))), Handler)
    signal.signal(signal.SIGTERM, server.stop)
    print(f"catalogue listens on {server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.1)
    print("catalogue stopped", flush=True)


if __name__ == "__main__":
    main()
