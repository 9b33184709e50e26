//! A NATS server that was named: does it answer, is it new enough, has it JetStream.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;

use super::machine::version_number;
use crate::output::doctor::Check;

const PATIENCE: Duration = Duration::from_secs(5);
const USUAL_PORT: u16 = 4222;

/// The check, if a server is named; otherwise the gateway tells about the one that it uses.
pub(super) async fn check(url: Option<&str>) -> Option<Check> {
    let url = url?;
    let address = address_of(url);
    let mend =
        "start it, or correct SLIPWAY_NATS_URL; without it `slipway up` runs a server of its own";
    let greeting = match tokio::time::timeout(PATIENCE, greeting(&address)).await {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => {
            return Some(Check::bad(
                "nats",
                true,
                format!("nothing answers at {address}: {error}"),
                mend,
            ));
        }
        Err(_) => {
            return Some(Check::bad(
                "nats",
                true,
                format!("nothing answers at {address} in time"),
                mend,
            ));
        }
    };
    Some(judge(&greeting, &address))
}

/// A NATS server speaks first: `INFO {…}`.
async fn greeting(address: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line)
}

/// What a server says about itself, as far as it matters here.
#[derive(Deserialize)]
struct Info {
    version: String,
    #[serde(default)]
    jetstream: bool,
}

fn judge(greeting: &str, address: &str) -> Check {
    let info = greeting
        .strip_prefix("INFO ")
        .and_then(|json| serde_json::from_str::<Info>(json).ok());
    let Some(info) = info else {
        return Check::bad(
            "nats",
            true,
            format!("what answers at {address} is no NATS server"),
            "correct SLIPWAY_NATS_URL",
        );
    };
    let detail = format!("nats-server {} at {address}", info.version);
    if !info.jetstream {
        return Check::bad(
            "nats",
            true,
            format!("{detail} has no JetStream"),
            "start it with: nats-server --jetstream",
        );
    }
    match version_number(&info.version) {
        Some(version) if version >= (2, 10) => Check::ok("nats", detail),
        _ => Check::bad(
            "nats",
            true,
            format!("{detail} is too old"),
            "use nats-server 2.10 or newer",
        ),
    }
}

/// `host:port` of `nats://user:password@host:port` and shorter forms; of several servers the first.
fn address_of(url: &str) -> String {
    let first = url.split(',').next().unwrap_or(url).trim();
    let rest = first.split_once("://").map_or(first, |(_, rest)| rest);
    let host = rest
        .rsplit_once('@')
        .map_or(rest, |(_, host)| host)
        .trim_end_matches('/');
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:{USUAL_PORT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::doctor::Health;

    #[test]
    fn the_address_is_found_in_every_form_of_url() {
        let cases = [
            ("nats://127.0.0.1:4333", "127.0.0.1:4333"),
            ("nats://user:pass@bus.example", "bus.example:4222"),
            ("bus:4222, bus2:4222", "bus:4222"),
        ];
        for (url, address) in cases {
            assert_eq!(address_of(url), address);
        }
    }

    #[test]
    fn a_server_must_be_new_and_have_jetstream() {
        let state = |greeting: &str| judge(greeting, "bus:4222").state;
        assert_eq!(
            state(r#"INFO {"version":"2.10.27","jetstream":true}"#),
            Health::Ok
        );
        assert_eq!(
            state(r#"INFO {"version":"2.9.10","jetstream":true}"#),
            Health::Fail
        );
        assert_eq!(state(r#"INFO {"version":"2.10.27"}"#), Health::Fail);
        assert_eq!(state("HTTP/1.1 400 Bad Request"), Health::Fail);
    }
}
