//! Names of branches, tags and commits, as they come from outside.

use std::fmt;

use crate::Error;

const LONGEST: usize = 250;

/// The name of a branch or tag (`main`, `v1.4.0`), a full reference (`refs/heads/main`), `HEAD`, or a commit id of 4 to
/// 40 (SHA-256: 64) hexadecimal digits.
///
/// It keeps the rules of `git check-ref-format`, and cannot be mistaken for an option.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefName(String);

impl RefName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`Error::InvalidRef`] with the rule that the name breaks.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(reason) = broken_rule(text) {
            let name = text.chars().take(LONGEST).collect();
            return Err(Error::InvalidRef {
                name,
                reason: reason.to_owned(),
            });
        }
        match CommitId::parse(text) {
            Some(id) => Ok(Self(id.0)),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The commit, when the name is a whole commit id.
    pub fn commit_id(&self) -> Option<CommitId> {
        CommitId::parse(&self.0)
    }

    /// Whether the name says exactly which reference it is: `refs/…`.
    pub fn is_full(&self) -> bool {
        self.0.starts_with("refs/")
    }

    /// Whether the name could be an abbreviated commit id.
    pub(crate) fn may_be_abbreviated_id(&self) -> bool {
        (4..64).contains(&self.0.len()) && self.0.bytes().all(|letter| letter.is_ascii_hexdigit())
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&CommitId> for RefName {
    fn from(id: &CommitId) -> Self {
        Self(id.0.clone())
    }
}

impl std::str::FromStr for RefName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// A whole commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(String);

impl CommitId {
    /// Reads an id; letters of either case are taken.
    pub fn parse(text: &str) -> Option<Self> {
        let whole =
            matches!(text.len(), 40 | 64) && text.bytes().all(|letter| letter.is_ascii_hexdigit());
        whole.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The rule of `git check-ref-format` (or ours) that the name breaks.
fn broken_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > LONGEST {
        return Some("it is too long");
    }
    if name.starts_with('-') {
        return Some("it begins with '-'");
    }
    if name.chars().any(|letter| {
        letter.is_control() || matches!(letter, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    }) {
        return Some("it has a space, a control character or one of ~ ^ : ? * [ \\");
    }
    if name.contains("..") || name.contains("@{") || name == "@" {
        return Some("it has '..' or '@{', or is '@'");
    }
    if name.ends_with('.') {
        return Some("it ends with '.'");
    }
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if name.split('/').any(bad_part) {
        return Some("a part between slashes is empty, begins with '.' or ends with '.lock'");
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn branches_tags_and_commits_are_read() {
        for name in [
            "main",
            "feature/x",
            "v1.4.0",
            "orders-v1.0.0",
            "refs/heads/main",
            "HEAD",
            "deadbeef",
            "größe",
            "a@b",
        ] {
            assert_eq!(RefName::parse(name).unwrap().as_str(), name);
        }
        let upper = "ABCDEF0123456789ABCDEF0123456789ABCDEF01";
        let id = RefName::parse(upper).unwrap().commit_id().unwrap();
        assert_eq!(id.as_str(), upper.to_lowercase());
        assert!(RefName::parse("deadbeef").unwrap().commit_id().is_none());
    }

    #[test]
    fn names_that_git_forbids_are_refused() {
        for name in [
            "",
            "-x",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a\n",
            "a@{1}",
            "@",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "\u{7f}",
        ] {
            assert!(RefName::parse(name).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read_or_refused(text in ".{0,60}") {
            if let Ok(name) = RefName::parse(&text) {
                prop_assert!(!name.as_str().starts_with('-'));
                prop_assert!(!name.as_str().contains([' ', ':', '^', '~']));
            }
        }
    }
}
