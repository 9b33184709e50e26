//! Names of repositories and tags, as strict as the distribution specification.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// The longest host and name together that registries must accept.
const MAX_NAME_LENGTH: usize = 255;
/// The longest tag.
const MAX_TAG_LENGTH: usize = 128;

/// The name of a repository within a registry, such as `logistics/delivery`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

/// A tag, such as `1.4.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// A name or tag that no registry would take, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: {reason}")]
pub struct InvalidName {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) reason: String,
}

impl RepositoryName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag by which things are found that belong to `digest`, where a registry has no referrers API:
    /// `sha256-<hex>`, and with a suffix (`.sig`) the tags of cosign.
    pub(crate) fn beside(digest: &Digest, suffix: &str) -> Self {
        let mut text = digest.as_str().replace(':', "-");
        text.truncate(MAX_TAG_LENGTH - suffix.len());
        text.push_str(suffix);
        Self(text)
    }
}

impl FromStr for RepositoryName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match repository_fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(InvalidName {
                kind: "repository name",
                text: text.to_owned(),
                reason,
            }),
        }
    }
}

impl FromStr for Tag {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match tag_fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(InvalidName {
                kind: "tag",
                text: text.to_owned(),
                reason,
            }),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn repository_fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.len() > MAX_NAME_LENGTH {
        return Some(format!(
            "it has {} characters, at most {MAX_NAME_LENGTH} are allowed",
            text.len()
        ));
    }
    text.split('/').find_map(component_fault)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn component_fault(component: &str) -> Option<String> {
    if component.is_empty() {
        return Some("a part between slashes is empty".to_owned());
    }
    if let Some(bad) = component
        .chars()
        .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-'))
    {
        let hint = if bad.is_ascii_uppercase() {
            " (names are in lower case)"
        } else {
            ""
        };
        return Some(format!("`{bad}` is not allowed in it{hint}"));
    }
    let is_separator = |c: char| matches!(c, '.' | '_' | '-');
    if component.starts_with(is_separator) || component.ends_with(is_separator) {
        return Some(format!("`{component}` starts or ends with a separator"));
    }
    let separators = component
        .split(|c: char| !is_separator(c))
        .filter(|run| !run.is_empty());
    for run in separators {
        if !matches!(run, "." | "_" | "__") && !run.bytes().all(|byte| byte == b'-') {
            return Some(format!(
                "`{run}` cannot separate words in it (use one `.`, `_`, `__`, or dashes)"
            ));
        }
    }
    None
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn tag_fault(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.len() > MAX_TAG_LENGTH {
        return Some(format!(
            "it has {} characters, at most {MAX_TAG_LENGTH} are allowed",
            text.len()
        ));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.contains('+') {
        return Some(
            "`+` is not allowed in it: leave the build metadata out of the version".to_owned(),
        );
    }
    if let Some(bad) = text
        .chars()
        .find(|c| !is_word(*c) && !matches!(c, '.' | '-'))
    {
        return Some(format!("`{bad}` is not allowed in it"));
    }
    (!text.starts_with(is_word)).then(|| "it must start with a letter, a digit or `_`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_specification() {
        for good in ["a", "team/app", "a.b_c__d-e--f/g", "0/1", &"a".repeat(255)] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "a._b",
            "-a",
            "a-",
            "a b",
            "ä",
            &"a".repeat(256),
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
        let error = "Team/App"
            .parse::<RepositoryName>()
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "`Team/App` is not a repository name: `T` is not allowed in it (names are in lower case)"
        );
    }

    #[test]
    fn tags_follow_the_specification() {
        for good in ["1.4.0", "1.4.0-rc.1", "_", "latest", "V1", &"a".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a b", "a/b", "a:b", &"a".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        assert!(
            "1.0.0+7"
                .parse::<Tag>()
                .unwrap_err()
                .to_string()
                .contains("build metadata")
        );
    }

    #[test]
    fn tags_beside_a_digest_are_valid_tags() {
        for algorithm in [crate::Algorithm::Sha256, crate::Algorithm::Sha512] {
            let tag = Tag::beside(&Digest::of(algorithm, b"x"), ".sig");
            assert_eq!(tag.as_str().parse::<Tag>(), Ok(tag.clone()));
            assert!(tag.as_str().ends_with(".sig"));
        }
    }
}
