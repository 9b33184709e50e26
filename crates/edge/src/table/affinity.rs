//! What decides before the weights do: marked requests, and sessions that stay where they are.
//!
//! The order is that of other routers (ingress-nginx: by header, by cookie, by weight; sessions keep to a backend as
//! long as it is there): first the matches, one after the other, then the session, then the weights.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{Invalid, Route};

/// Requests that go to chosen backends, whatever their weights, while one of those is ready; otherwise they are as any
/// other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// What marks a request.
    pub when: Mark,
    /// Names of backends of the route; each gets as much as any other.
    pub backends: Vec<String>,
}

/// What marks a request: `{"header": {"name": "x-canary", "value": "always"}}`, or the same with `cookie`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// A header line with this value; the name is compared without regard to case.
    Header(Pair),
    /// A cookie with this value.
    Cookie(Pair),
}

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Of the header or the cookie.
    pub name: String,
    /// The whole value.
    pub value: String,
}

/// Sessions: a client is given a cookie that says which of them it is in, and its requests stay there while a backend
/// of it has a weight and is ready. Then it is moved, and given another cookie. Marked requests have no session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// Name of the cookie.
    pub cookie: String,
    /// How long a client keeps the cookie; none is until the browser is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u64>,
    /// What clients can stay with. Backends that are in none get requests by weight, and no client stays with them.
    pub sessions: Vec<Session>,
}

/// Backends that a client may stay with: usually all of one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Value of the cookie.
    pub value: String,
    /// Names of backends of the route; a request of the session goes to one of them by weight.
    pub backends: Vec<String>,
}

impl Match {
    pub(super) fn validate(&self, route: &Route) -> Result<(), Invalid> {
        let (what, is_valid) = match &self.when {
            Mark::Header(Pair { name, value }) => (
                "header",
                name.parse::<HeaderName>().is_ok() && HeaderValue::from_str(value).is_ok(),
            ),
            Mark::Cookie(Pair { name, value }) => (
                "cookie",
                is_cookie_name(name) && value.bytes().all(is_in_cookie),
            ),
        };
        let (Mark::Header(Pair { name, value }) | Mark::Cookie(Pair { name, value })) = &self.when;
        if !is_valid {
            return Err(Invalid::Mark {
                what,
                pair: format!("{name}={value}"),
            });
        }
        self.backends.iter().try_for_each(|name| route.has(name))
    }
}

impl Sticky {
    pub(super) fn validate(&self, route: &Route) -> Result<(), Invalid> {
        if !is_cookie_name(&self.cookie) {
            return Err(Invalid::Mark {
                what: "cookie",
                pair: self.cookie.clone(),
            });
        }
        let (mut values, mut backends) = (HashSet::new(), HashSet::new());
        for session in &self.sessions {
            let is_cookie = !session.value.is_empty() && session.value.bytes().all(is_in_cookie);
            if !is_cookie || !values.insert(&session.value) {
                return Err(Invalid::Session(session.value.clone()));
            }
            for name in &session.backends {
                route.has(name)?;
                if !backends.insert(name) {
                    return Err(Invalid::InTwoSessions(name.clone()));
                }
            }
        }
        Ok(())
    }
}

/// A token (RFC 6265 section 4.1.1, RFC 9110 section 5.6.2).
fn is_cookie_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// What a cookie's value is made of (RFC 6265 section 4.1.1).
fn is_in_cookie(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::super::Table;

    /// A table with a backend `a` and these fields of its route.
    fn read(fields: &str) -> Result<Table, String> {
        let json = format!(
            r#"{{"generation": 1, "routes": [{{"backends":
                [{{"name": "a", "address": "orders-1:80", "weight": 1, "version": "1"}}], {fields}}}]}}"#
        );
        let table: Table = serde_json::from_str(&json).map_err(|error| error.to_string())?;
        table.validate().map_err(|error| error.to_string())?;
        Ok(table)
    }

    #[test]
    fn the_documented_json_is_read() {
        let table = read(
            r#""matches": [{"when": {"header": {"name": "X-Canary", "value": "always"}}, "backends": ["a"]},
                           {"when": {"cookie": {"name": "canary", "value": "always"}}, "backends": []}],
               "sticky": {"cookie": "slipway", "max_age_s": 3600, "sessions": [{"value": "3fa9", "backends": ["a"]}]}"#,
        )
        .unwrap();
        let again = serde_json::from_str(&serde_json::to_string(&table).unwrap()).unwrap();
        assert_eq!(table, again);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let mark = |kind: &str, name: &str, value: &str| {
            format!(
                r#""matches": [{{"when": {{"{kind}": {{"name": "{name}", "value": "{value}"}}}}, "backends": ["a"]}}]"#
            )
        };
        let sessions = |cookie: &str, sessions: &str| {
            format!(r#""sticky": {{"cookie": "{cookie}", "sessions": [{sessions}]}}"#)
        };
        let a = r#"{"value": "x", "backends": ["a"]}"#;
        for (fields, reason) in [
            (mark("header", "x canary", "1"), "header x canary=1"),
            (mark("header", "x-canary", "\\n"), "header x-canary="),
            (mark("cookie", "can;ary", "1"), "cookie can;ary=1"),
            (mark("cookie", "canary", "a b"), "cookie canary=a b"),
            (mark("path", "/", ""), "unknown variant `path`"),
            (
                mark("cookie", "c", "1").replace(r#"["a"]"#, r#"["b"]"#),
                "no backend named b",
            ),
            (sessions("", a), "cannot be sent"),
            (
                sessions("s", r#"{"value": "", "backends": []}"#),
                "the session ``",
            ),
            (
                sessions("s", r#"{"value": "x; Domain=y", "backends": []}"#),
                "the session `x; D",
            ),
            (
                sessions(
                    "s",
                    r#"{"value": "x", "backends": []}, {"value": "x", "backends": []}"#,
                ),
                "the session `x`",
            ),
            (
                sessions("s", &format!(r#"{a}, {{"value": "y", "backends": ["a"]}}"#)),
                "backend a is in two sessions",
            ),
            (
                sessions("s", r#"{"value": "x", "backends": ["b"]}"#),
                "no backend named b",
            ),
        ] {
            let error = read(&fields).unwrap_err();
            assert!(error.contains(reason), "{fields}: {error}");
        }
    }
}
