//! Which requests a canary gets, besides its share: what measures the share out on Kubernetes, testers, and clients
//! that stay with a version.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::units::{InvalidUnit, TimeSpan, text_form};
use crate::ids::ServiceName;

/// What splits the traffic of a canary on a Kubernetes target: a route of the team's own, of which only weights are
/// changed. Exactly one of `gateway_api`, `istio` and `linkerd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TrafficRouter {
    /// Which one.
    #[serde(flatten)]
    pub kind: RouterKind,
    /// The Service of the version that serves, to which the route must lead. Absent: `<service>-stable`. Of a
    /// DestinationRule, the subset; absent: `stable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The Service of the canary, to which the route must lead, too. Absent: `<service>-canary`. Of a DestinationRule,
    /// the subset; absent: `canary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
}

/// What kind of router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouterKind {
    /// An HTTPRoute of the Gateway API.
    GatewayApi(HttpRoute),
    /// A VirtualService of Istio.
    Istio(VirtualService),
    /// An HTTPRoute of Linkerd, `policy.linkerd.io`.
    Linkerd(HttpRoute),
}

/// An HTTPRoute in the environment's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HttpRoute {
    /// Its name.
    pub route: String,
}

/// A VirtualService in the environment's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct VirtualService {
    /// Its name.
    pub virtual_service: String,
    /// The names of those of its HTTP routes that split the traffic. Need not be there where it has only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "super::schema::OneOrMany")]
    pub routes: Vec<String>,
    /// The DestinationRule whose subsets are the two versions. Absent: the versions are two Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_rule: Option<String>,
}

impl TrafficRouter {
    /// The DestinationRule whose subsets are the two versions, if they are not Services.
    #[must_use]
    pub fn destination_rule(&self) -> Option<&str> {
        match &self.kind {
            RouterKind::Istio(istio) => istio.destination_rule.as_deref(),
            RouterKind::GatewayApi(_) | RouterKind::Linkerd(_) => None,
        }
    }

    /// The Service or subset of the version that serves.
    #[must_use]
    pub fn stable(&self, service: &ServiceName) -> String {
        self.backend(self.stable.as_deref(), service, "stable")
    }

    /// The Service or subset of the canary.
    #[must_use]
    pub fn canary(&self, service: &ServiceName) -> String {
        self.backend(self.canary.as_deref(), service, "canary")
    }

    fn backend(&self, named: Option<&str>, service: &ServiceName, role: &str) -> String {
        match (named, self.destination_rule()) {
            (Some(named), _) => named.to_owned(),
            (None, Some(_)) => role.to_owned(),
            (None, None) => format!("{service}-{role}"),
        }
    }
}

/// Requests that go to the canary whatever its share is, while a replica of it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Testers {
    /// Those with a header: `x-canary=always`.
    Header(Marker),
    /// Those with a cookie: `canary=always`.
    Cookie(Marker),
}

impl Testers {
    /// The name and the value.
    #[must_use]
    pub fn marker(&self) -> &Marker {
        match self {
            Self::Header(marker) | Self::Cookie(marker) => marker,
        }
    }
}

/// A name and its value, as a header or a cookie: `x-canary=always`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The name. Those of headers may be written in capital or small letters.
    pub name: String,
    /// The whole value.
    pub value: String,
}

impl FromStr for Marker {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let value = |value: &str| !value.is_empty() && value.bytes().all(is_cookie_octet);
        match text.split_once('=') {
            Some((name, marked)) if is_token(name) && value(marked) => Ok(Self {
                name: name.to_owned(),
                value: marked.to_owned(),
            }),
            _ => Err(InvalidUnit {
                kind: "a name and its value",
                text: text.chars().take(80).collect(),
                form: "`name=value`, without spaces, quotes, `,` and `;`, such as `x-canary=always`",
            }),
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

text_form!(
    Marker,
    json_schema!({
        "type": "string",
        "pattern": r#"^[!#$%&'*+.^_`|~0-9A-Za-z-]+=[^\s",;\\]+$"#,
        "description": "A name and its value: `x-canary=always`."
    })
);

/// A client that was served by a version stays with it while that version has any traffic. Also just the name of the
/// cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = allow_name)]
pub struct Sticky {
    /// The cookie that tells which version that is.
    pub cookie: CookieName,
    /// How long a client keeps it.
    #[serde(default = "an_hour")]
    pub lifetime: TimeSpan,
}

impl Sticky {
    /// By this cookie, for an hour.
    #[must_use]
    pub fn by(cookie: CookieName) -> Self {
        let lifetime = an_hour();
        Self { cookie, lifetime }
    }
}

fn an_hour() -> TimeSpan {
    TimeSpan::from_secs(3600)
}

fn allow_name(schema: &mut Schema) {
    let whole = std::mem::take(schema);
    let name = serde_json::json!({ "$ref": "#/$defs/CookieName" });
    *schema = json_schema!({ "anyOf": [name, whole] });
}

/// The name of a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieName(String);

impl CookieName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CookieName {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        if is_token(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidUnit {
            kind: "the name of a cookie",
            text: text.chars().take(80).collect(),
            form: "letters, digits, `-` and `_`, such as `orders-version`",
        })
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_form!(
    CookieName,
    json_schema!({
        "type": "string",
        "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        "description": "The name of a cookie."
    })
);

/// A token of RFC 9110: names of headers and of cookies.
fn is_token(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(&b);
    !text.is_empty() && text.bytes().all(inner)
}

/// What the value of a cookie may have in it, by RFC 6265.
fn is_cookie_octet(b: u8) -> bool {
    b.is_ascii_graphic() && !b"\",;\\".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_read_back_as_they_were_written() {
        for text in ["x-canary=always", "a=b=c", "X-Group=7"] {
            let marker: Marker = text.parse().expect(text);
            assert_eq!(marker.to_string(), text);
        }
        for bad in [
            "", "a", "=b", "a=", "a b=c", "a=b c", "a=b;", "ä=b", "a=\"b\"",
        ] {
            assert!(bad.parse::<Marker>().is_err(), "{bad}");
        }
    }

    #[test]
    fn backends_are_services_of_the_service_or_subsets() {
        let (orders, route) = ("orders".parse().unwrap(), "r".to_owned());
        let plain = TrafficRouter {
            kind: RouterKind::GatewayApi(HttpRoute { route }),
            stable: None,
            canary: Some("new-orders".to_owned()),
        };
        assert_eq!(plain.stable(&orders), "orders-stable");
        assert_eq!(plain.canary(&orders), "new-orders");
        let subsets = TrafficRouter {
            kind: RouterKind::Istio(VirtualService {
                virtual_service: "v".to_owned(),
                routes: Vec::new(),
                destination_rule: Some("d".to_owned()),
            }),
            canary: None,
            ..plain
        };
        assert_eq!(subsets.canary(&orders), "canary");
        assert_eq!(subsets.destination_rule(), Some("d"));
    }
}
