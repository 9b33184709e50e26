//! How a registry asks for credentials: `WWW-Authenticate` (RFC 9110 §11.6.1), as the distribution project uses it.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A way to authenticate that a registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token fetched from `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

/// The challenge to answer: a token where one is offered, since it says less to whoever sees it.
pub(crate) fn choose(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let offered: Vec<Challenge> = values.flat_map(parse).collect();
    let bearer = offered
        .iter()
        .find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or(offered.first()).cloned()
}

/// All challenges of one header that are understood.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = header;
    while let Some((scheme, after)) = word(rest) {
        let (parameters, after) = parameters(after);
        let value = |key: &str| {
            parameters
                .iter()
                .find(|(k, _)| k.eq_ignore_ascii_case(key))
                .map(|(_, v)| v.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        } else if let (true, Some(realm)) = (scheme.eq_ignore_ascii_case("bearer"), value("realm"))
        {
            challenges.push(Challenge::Bearer {
                realm,
                service: value("service"),
            });
        }
        rest = after;
    }
    challenges
}

/// `key=value` and `key="value"` up to the next scheme: a word that no `=` follows.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = word(rest) {
        let Some(after) = after.trim_start().strip_prefix('=') else {
            break;
        };
        let (value, after) = value(after.trim_start());
        found.push((key.to_owned(), value));
        rest = after;
    }
    (found, rest)
}

/// The next word, after spaces and commas. Nothing at the end, or where something else than a word stands.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let end = text.find([' ', '\t', ',', '=', '"']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn the_usual_challenges_are_understood() {
        assert_eq!(parse(r#"Basic realm="basic-realm""#), [Challenge::Basic]);
        assert_eq!(
            parse(
                r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a:pull,push""#
            ),
            [bearer("https://auth.example/token", Some("r.example"))]
        );
        assert_eq!(
            parse("bearer realm=https://auth.example/token"),
            [bearer("https://auth.example/token", None)]
        );
    }

    #[test]
    fn several_challenges_in_one_header_are_taken_apart() {
        let header = r#"Negotiate, Basic realm="a, b", Bearer realm="https://x/\"y\"" , service=s"#;
        assert_eq!(
            parse(header),
            [Challenge::Basic, bearer("https://x/\"y\"", Some("s"))]
        );
    }

    #[test]
    fn a_token_is_preferred_and_nonsense_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Basic realm=x".parse().unwrap());
        headers.append(WWW_AUTHENTICATE, "Bearer realm=https://x".parse().unwrap());
        assert_eq!(choose(&headers), Some(bearer("https://x", None)));
        for nonsense in [
            "",
            "=",
            "\"",
            "Bearer",
            "Bearer realm",
            "Bearer realm=\"",
            ",,,",
            "Digest realm=\"a\"",
        ] {
            assert!(!parse(nonsense).contains(&Challenge::Basic), "{nonsense}");
        }
    }
}
