//! What a proxy does to headers. Pure.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers that concern one connection only (RFC 9110 section 7.6.1), and the older ones of the same kind.
/// `Trailer` stays, as trailers are passed on.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The protocol that the sender wants to switch to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = connection_options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| asked).cloned()
}

/// Removes what concerns one connection only. A length beside a transfer coding goes too: the coding counts
/// (RFC 9112 section 6.3), and passing both on would let two servers disagree about where a message ends.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = connection_options(headers)
        .filter_map(|option| option.parse().ok())
        .collect();
    for name in named
        .iter()
        .filter(|name| !matches!(**name, header::HOST | header::CONTENT_LENGTH))
    {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Puts all cookies on one line: HTTP/2 may bring them on many, and a server of HTTP/1.1 may read only the first (RFC 9113
/// section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::COOKIE).into_iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let lines = headers.get_all(header::COOKIE).into_iter();
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Says for whom the request is made. What an earlier proxy said of the protocol and host stands.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, client: IpAddr, host: &str) {
    let earlier = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let chain: Vec<String> = earlier
        .map(str::to_owned)
        .chain([client.to_canonical().to_string()])
        .collect();
    if let Ok(value) = HeaderValue::from_str(&chain.join(", ")) {
        headers.insert(FORWARDED_FOR, value);
    }
    headers
        .entry(FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
    if let Ok(value) = HeaderValue::from_str(host) {
        headers.entry(FORWARDED_HOST).or_insert(value);
    }
}

/// A host as routes know it: without port and final dot, in lower case.
pub(crate) fn route_host(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_concerns_one_connection_is_not_passed_on() {
        let mut headers = map(&[
            ("connection", "close, X-Mine, host"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("x-mine", "1"),
            ("upgrade", "websocket"),
            ("host", "orders"),
            ("trailer", "x-sum"),
            ("x-other", "2"),
        ]);
        assert_eq!(upgrade(&headers), None);
        strip_hop_by_hop(&mut headers);
        assert_eq!(
            headers,
            map(&[("host", "orders"), ("trailer", "x-sum"), ("x-other", "2")])
        );
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_dropped() {
        let mut headers = map(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        strip_hop_by_hop(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn cookies_come_on_one_line() {
        let mut headers = map(&[("cookie", "a=1"), ("x-other", "2"), ("cookie", "b=2; c=3")]);
        join_cookies(&mut headers);
        let joined = map(&[("cookie", "a=1; b=2; c=3"), ("x-other", "2")]);
        assert_eq!(headers, joined);
        join_cookies(&mut headers);
        assert_eq!(headers, joined);
    }

    #[test]
    fn the_client_is_added_to_the_chain() {
        let mut headers = map(&[
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
        ]);
        add_forwarded(
            &mut headers,
            IpAddr::from([127, 0, 0, 1]),
            "orders.example:81",
        );
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "orders.example:81");
    }

    #[test]
    fn hosts_are_compared_without_port_and_case() {
        for (given, host) in [
            ("Orders.Example:8080", "orders.example"),
            ("orders.example.", "orders.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(route_host(given), host);
        }
    }
}
