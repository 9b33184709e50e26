//! A service in Python with everything that a `slipway.yaml` can have: build, unit, functional and integration tests.

use anyhow::Result;
use testkit::git::GitRepository;

const APP: &str = r#"
import http.server, os, signal, sys

def greeting(name):
    return "hello " + name

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = ("%s %s %s" % (os.environ.get("SLIPWAY_VERSION"), os.environ.get("COLOUR"), greeting("world"))).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *arguments: sys.exit(0))
    print("listening", flush=True)
    http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"#;

const UNIT: &str = r#"
import os, sys
sys.path.insert(0, ".")
import app
good = app.greeting("ada") == "hello ada"
failure = "" if good else '<failure message="greeted wrongly">expected hello ada</failure>'
os.makedirs("reports", exist_ok=True)
with open("reports/junit.xml", "w") as report:
    report.write('<testsuite name="unit" tests="2" failures="%d">'
        '<testcase classname="greeting" name="greets_by_name" time="0.01">%s</testcase>'
        '<testcase classname="greeting" name="is_imported" time="0.01"/></testsuite>' % (not good, failure))
print("tests are over")
sys.exit(0 if good else 1)
"#;

const FUNCTIONAL: &str = r#"
import os, socket, urllib.request
answer = urllib.request.urlopen("http://shop:8080/").read().decode()
print("the service answers", answer)
assert "hello world" in answer, answer
assert socket.create_connection(("store", 6379), 5).recv(5) == b"ready"
assert os.environ["COLOUR"] == "grey", os.environ["COLOUR"]
"#;

const INTEGRATION: &str = r#"
import urllib.request
answer = urllib.request.urlopen("http://shop:8080/").read().decode()
print("the environment answers", answer)
assert "hello world" in answer, answer
"#;

const STORE: &str = "import socket\ns = socket.create_server(('', 6379))\nwhile True:\n    c, _ = s.accept()\n    c.sendall(b'ready')\n    c.close()\n";

/// A repository with the service `shop`; it says in which `colour` it is configured.
///
/// # Errors
/// When Git can't be run.
pub fn shop(colour: &str) -> Result<GitRepository> {
    GitRepository::with_files(&[
        ("slipway.yaml", &shop_yaml(colour)),
        (
            "Dockerfile",
            "FROM python:3.11-slim\nCOPY app.py /app.py\nEXPOSE 8080\nENTRYPOINT [\"python3\", \"/app.py\"]\n",
        ),
        ("app.py", APP),
        ("tests/unit.py", UNIT),
        ("tests/functional.py", FUNCTIONAL),
        ("tests/integration.py", INTEGRATION),
    ])
}

/// The `slipway.yaml` of the service.
#[must_use]
pub fn shop_yaml(colour: &str) -> String {
    let store = serde_json::json!(["python3", "-c", STORE]);
    format!(
        "service: shop
team: sales
build:
  image: python:3.11-slim
  run: [python3 -m py_compile app.py, echo built > built.txt]
test:
  unit: {{ run: [test -f built.txt, python3 tests/unit.py], reports: [reports/junit.xml] }}
  functional:
    services:
      store: {{ image: \"python:3.11-slim\", command: {store}, ready: {{ tcp: 6379 }} }}
    env: {{ COLOUR: grey }}
    run: [python3 tests/functional.py]
  integration: {{ run: [python3 tests/integration.py] }}
deploy:
  port: 8080
  replicas: 2
  ready: {{ http: / }}
  drain: 2s
  env: {{ COLOUR: {colour} }}
"
    )
}
