//! Identifiers as types: text that was checked once and can then go into a subject, a label or an image name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}: {rule}")]
pub struct InvalidId {
    /// What it should have been, such as `service name`.
    pub kind: &'static str,
    /// The text, shortened to at most 80 characters.
    pub text: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

fn invalid(kind: &'static str, text: &str, rule: &'static str) -> InvalidId {
    InvalidId {
        kind,
        text: text.chars().take(80).collect(),
        rule,
    }
}

const DNS_LABEL: &str =
    "1 to 63 of a-z, 0-9 and '-', beginning with a letter, ending with a letter or digit";

fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-'
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

const TOKEN: &str = "1 to 64 of a-z, 0-9 and '-'";

fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if $check(text) { Ok(Self(text.to_owned())) } else { Err(invalid($kind, text, $rule)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One passage of a commit through the pipeline. Sorts by the time of its making.
    RunId, "run id", is_token, TOKEN
);
id!(
    /// One process that takes jobs; new at every start of the process.
    WorkerId, "worker id", is_token, TOKEN
);
id!(
    /// One microservice: the name of its image, its workloads and its routes.
    ServiceName, "service name", is_dns_label, DNS_LABEL
);
id!(
    /// A named place to deploy to.
    EnvironmentName, "environment name", is_dns_label, DNS_LABEL
);
id!(
    /// The digest of an image manifest or index, `sha256:` and 64 hexadecimal digits.
    Digest, "digest", is_digest, "'sha256:' and 64 hexadecimal digits in lower case"
);

impl Digest {
    /// The first 12 hexadecimal digits, as people quote it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0["sha256:".len().."sha256:".len() + 12]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "delivery", "a-1", &"a".repeat(63)] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "1a",
            "-a",
            "a-",
            "a.b",
            "a b",
            "a*",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_sha256_in_lower_case() {
        assert!(
            format!("sha256:{}", "0a".repeat(32))
                .parse::<Digest>()
                .is_ok()
        );
        assert!(
            format!("sha256:{}", "0A".repeat(32))
                .parse::<Digest>()
                .is_err()
        );
        assert!(
            format!("sha512:{}", "0a".repeat(32))
                .parse::<Digest>()
                .is_err()
        );
    }
}
