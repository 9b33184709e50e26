//! References to images: `host[:port]/name[:tag][@digest]`.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, InvalidDigest, InvalidName, RepositoryName, Tag};

/// A reference to an image in a registry that it names: `host[:port]/name[:tag][@digest]`.
///
/// Stricter than what `docker pull` takes: the host is never left out, so nothing is fetched from a registry that
/// nobody named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The address of the registry, `host[:port]`.
    pub registry: String,
    /// The repository in it.
    pub name: RepositoryName,
    /// The tag, if it names one.
    pub tag: Option<Tag>,
    /// The digest, if it names one. It wins over the tag.
    pub digest: Option<Digest>,
}

/// What names a manifest within a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// Whatever the tag points to now.
    Tag(Tag),
    /// Exactly these bytes.
    Digest(Digest),
}

/// A text that isn't a full reference to an image, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// No registry is named.
    #[error(
        "image reference `{0}` names no registry: put its host first, as in `registry.example.org/team/app:1.0.0`"
    )]
    NoRegistry(String),
    /// The host or the port is malformed.
    #[error(
        "image reference `{text}` names the registry `{host}`, which is not `host` or `host:port`"
    )]
    Registry {
        /// The whole reference.
        text: String,
        /// What stands before the first slash.
        host: String,
    },
    /// The name or the tag is malformed.
    #[error("in image reference `{text}`, {fault}")]
    Name {
        /// The whole reference.
        text: String,
        /// What is wrong with the name or the tag.
        fault: InvalidName,
    },
    /// The digest is malformed.
    #[error("in image reference `{text}`, {fault}")]
    Digest {
        /// The whole reference.
        text: String,
        /// What is wrong with the digest.
        fault: InvalidDigest,
    },
}

impl Reference {
    /// What names the manifest: the digest, else the tag; nothing when neither was given.
    #[must_use]
    pub fn identifier(&self) -> Option<Identifier> {
        let digest = self.digest.clone().map(Identifier::Digest);
        digest.or_else(|| self.tag.clone().map(Identifier::Tag))
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let owned = || text.to_owned();
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|fault| InvalidReference::Digest {
                    text: owned(),
                    fault,
                })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let Some((host, path)) = rest
            .split_once('/')
            .filter(|(host, _)| looks_like_host(host))
        else {
            return Err(InvalidReference::NoRegistry(owned()));
        };
        if !is_host(host) {
            return Err(InvalidReference::Registry {
                text: owned(),
                host: host.to_owned(),
            });
        }
        let named = |fault| InvalidReference::Name {
            text: owned(),
            fault,
        };
        let (name, tag) = match path.split_once(':') {
            Some((name, tag)) => (name, Some(tag.parse().map_err(named)?)),
            None => (path, None),
        };
        let name = name.parse().map_err(named)?;
        Ok(Self {
            registry: host.to_owned(),
            name,
            tag,
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl From<Tag> for Identifier {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Identifier {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// Whether the part before the first slash is meant as a host: the rule that Docker uses to tell it from a name.
fn looks_like_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost"
}

/// `host`, `host:port`, `[ipv6]` or `[ipv6]:port`.
pub(crate) fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_is_good = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let host_is_good = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    port_is_good && host_is_good
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_reference_is_taken_apart_and_put_together_again() {
        let digest = Digest::sha256_of(b"x");
        for text in [
            "localhost/app",
            "localhost:5000/app:1",
            "127.0.0.1:5000/team/app:1.4.0-rc.2",
            "[::1]:5000/app:1",
            &format!("registry.example.org/team/app@{digest}"),
            &format!("registry.example.org:443/team/app:1@{digest}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_digest_wins_over_the_tag() {
        let digest = Digest::sha256_of(b"x");
        let reference: Reference = format!("r.example/app:1@{digest}").parse().unwrap();
        assert_eq!(reference.identifier(), Some(Identifier::Digest(digest)));
        let untagged: Reference = "r.example/app".parse().unwrap();
        assert_eq!(untagged.identifier(), None);
    }

    #[test]
    fn a_bad_reference_says_what_is_wrong() {
        for (text, wanted) in [
            ("team/app:1", "names no registry"),
            ("app", "names no registry"),
            ("", "names no registry"),
            ("host:99999/app", "not `host` or `host:port`"),
            ("host:0/app", "not `host` or `host:port`"),
            ("-a.example/app", "not `host` or `host:port`"),
            ("https://r.example/app", "not `host` or `host:port`"),
            ("r.example/App", "lower case"),
            ("r.example/app:", "`` is not a tag: it is empty"),
            ("r.example/app:1+2", "build metadata"),
            ("r.example/app@sha256:12", "`sha256:12` is not a digest"),
            ("r.example/", "it is empty"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
