//! Versions: decided before the build, from the last release and the commits since.
//!
//! [Conventional Commits 1.0.0](https://www.conventionalcommits.org/en/v1.0.0/) give the level, [Semantic Versioning
//! 2.0.0](https://semver.org/spec/v2.0.0.html) the order. What the first leaves open is defined here: a commit of
//! another type or of no type at all is a patch, since every run that may reach production needs a version of its
//! own; a `revert` counts as a patch; below 1.0.0 a breaking change raises the minor number.

use semver::Version;

/// How much a version differs from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Fixes and everything that users of the service don't see.
    Patch,
    /// New features.
    Minor,
    /// Breaking changes.
    Major,
}

impl Level {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

/// The version that a run would release, and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedVersion {
    /// `X.Y.Z`, or with a pre-release part if a tag said so.
    pub version: Version,
    /// The version that it follows.
    pub previous: Option<Version>,
    /// The distance between the two.
    pub level: Level,
    /// One line: the commit or tag that decided.
    pub because: String,
}

/// The version of a service's first release when no tag says another.
pub const FIRST: Version = Version::new(0, 1, 0);

/// The level that one commit message asks for.
#[must_use]
pub fn level_of(message: &str) -> Level {
    match git_conventional::Commit::parse(message.trim()) {
        Ok(commit) if commit.breaking() => Level::Major,
        Ok(commit) if commit.type_().as_str().eq_ignore_ascii_case("feat") => Level::Minor,
        _ => Level::Patch,
    }
}

/// The version after `previous`, given the messages of the commits since, in any order.
#[must_use]
pub fn next<'a>(
    previous: Option<&Version>,
    messages: impl IntoIterator<Item = &'a str>,
) -> PlannedVersion {
    let strongest = messages
        .into_iter()
        .map(|message| {
            (
                level_of(message),
                message.lines().next().unwrap_or_default(),
            )
        })
        .reduce(|best, other| if other.0 > best.0 { other } else { best });
    let (level, because) = match strongest {
        Some((level, subject)) => (level, format!("{}: {subject}", level.name())),
        None => (
            Level::Patch,
            "patch: no commit since the last release".to_owned(),
        ),
    };
    match previous {
        None => PlannedVersion {
            version: FIRST,
            previous: None,
            level,
            because: "the first version".to_owned(),
        },
        Some(previous) => PlannedVersion {
            version: raise(previous, level),
            previous: Some(previous.clone()),
            level,
            because,
        },
    }
}

/// The version that a tag gives; its level is read off the distance to `previous`.
#[must_use]
pub fn tagged(previous: Option<&Version>, version: Version, tag: &str) -> PlannedVersion {
    let level = match previous {
        Some(p) if p.major != version.major => Level::Major,
        Some(p) if p.minor != version.minor => Level::Minor,
        Some(_) => Level::Patch,
        None => Level::Major,
    };
    PlannedVersion {
        version,
        previous: previous.cloned(),
        level,
        because: format!("tag {tag}"),
    }
}

/// `previous` raised by one at `level`; a pre-release is first brought to its release.
#[must_use]
pub fn raise(previous: &Version, level: Level) -> Version {
    let Version {
        major,
        minor,
        patch,
        ..
    } = *previous;
    if !previous.pre.is_empty() {
        return Version::new(major, minor, patch);
    }
    match level {
        Level::Major if major > 0 => Version::new(major + 1, 0, 0),
        Level::Major | Level::Minor => Version::new(major, minor + 1, 0),
        Level::Patch => Version::new(major, minor, patch + 1),
    }
}

/// The version that a Git tag names for `service`: `v1.2.3`, `1.2.3`, `service-v1.2.3`, `service/1.2.3`.
///
/// Build metadata is refused, since `+` can't stand in an image tag.
#[must_use]
pub fn of_tag(service: &str, tag: &str) -> Option<Version> {
    let tag = tag.strip_prefix("refs/tags/").unwrap_or(tag);
    let own = tag
        .strip_prefix(service)
        .and_then(|rest| rest.strip_prefix(['-', '/', '@']));
    let text = own.unwrap_or(tag);
    let version = Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()?;
    version.build.is_empty().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn conventional_commits_decide_the_level() {
        let table = [
            ("fix: a", Level::Patch),
            ("feat: a", Level::Minor),
            ("FEAT(api): a", Level::Minor),
            ("feat!: a", Level::Major),
            ("refactor(core)!: a", Level::Major),
            ("fix: a\n\nbody\n\nBREAKING CHANGE: gone", Level::Major),
            ("fix: a\n\nBREAKING-CHANGE: gone", Level::Major),
            ("docs: a", Level::Patch),
            ("whatever", Level::Patch),
            ("", Level::Patch),
            ("revert: feat: a\n\nRefs: 676104e", Level::Patch),
        ];
        for (message, level) in table {
            assert_eq!(level_of(message), level, "{message:?}");
        }
    }

    #[test]
    fn the_strongest_commit_decides_the_version() {
        let planned = next(Some(&v("1.3.9")), ["fix: a", "feat: b", "chore: c"]);
        assert_eq!(
            (planned.version, planned.because.as_str()),
            (v("1.4.0"), "minor: feat: b")
        );
        assert_eq!(next(Some(&v("1.3.9")), ["feat!: b"]).version, v("2.0.0"));
        assert_eq!(next(Some(&v("0.3.9")), ["feat!: b"]).version, v("0.4.0"));
        assert_eq!(next(Some(&v("1.0.0")), []).version, v("1.0.1"));
        assert_eq!(
            next(Some(&v("1.0.0-rc.1")), ["feat: b"]).version,
            v("1.0.0")
        );
        assert_eq!(next(None, ["feat: b"]).version, v("0.1.0"));
    }

    #[test]
    fn tags_name_versions() {
        for tag in [
            "v1.2.3",
            "1.2.3",
            "orders-v1.2.3",
            "orders/1.2.3",
            "refs/tags/orders@1.2.3",
        ] {
            assert_eq!(of_tag("orders", tag), Some(v("1.2.3")), "{tag}");
        }
        for tag in ["latest", "v1.2", "pricing-v1.2.3", "v1.2.3+4", "v01.2.3"] {
            assert_eq!(of_tag("orders", tag), None, "{tag}");
        }
    }
}
