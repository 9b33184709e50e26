//! Cookies of a request, read where they are. Pure.

use http::{HeaderMap, header};

/// The values of the cookies of a name, in the order in which they come. There may be several, in one header line or in
/// many: clients keep one for each path and domain, and HTTP/2 may send each on a line of its own.
pub(crate) fn values<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let value = |line: &&[u8]| HeaderValue::from_bytes(line).unwrap();
        let lines = lines.iter().map(|line| (header::COOKIE, value(line)));
        lines.collect()
    }

    #[test]
    fn cookies_are_found_on_every_line_and_told_from_those_of_like_names() {
        let headers = headers(&[
            b"a=1; canary=always;canary2=x; xcanary=y; Canary=z",
            b"canary",
            b" canary=; canary=a=b ;;=; canary=\"q\"",
            b"\xff\xfe=\xff; canary=\xff",
        ]);
        let found: Vec<&[u8]> = values(&headers, "canary").collect();
        let wanted: [&[u8]; 5] = [b"always", b"", b"a=b", b"\"q\"", b"\xff"];
        assert_eq!(found, wanted);
        assert_eq!(values(&HeaderMap::new(), "canary").next(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_harmful(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4)) {
            let mut headers = HeaderMap::new();
            for line in &lines {
                if let Ok(value) = HeaderValue::from_bytes(line) {
                    headers.append(header::COOKIE, value);
                }
            }
            for value in values(&headers, "c") {
                prop_assert!(!value.contains(&b';'));
            }
        }
    }
}
