//! Which image a `deploy` or `rollback` brings where. Pure.

use domain::ids::{Digest, EnvironmentName, RunId, ServiceName};
use domain::platform::PlatformSpec;
use domain::release::{Record, Releases, candidate_tag};
use domain::rollout::{Placed, Rollouts};
use domain::run::DeployTarget;
use semver::Version;

use crate::Error;

/// The version that a text names, and the number of its candidate where it names one: `1.4.0`, `v1.4.0`,
/// `1.4.0-rc.2`. A version of that very name comes before a candidate.
pub(crate) fn version_of(text: &str, releases: &Releases) -> Result<(Version, Option<u32>), Error> {
    let plain = text.strip_prefix('v').unwrap_or(text);
    let bad = || {
        Error::field(
            "version",
            format!("{text:?} is not a version such as 1.4.0 or 1.4.0-rc.2"),
        )
    };
    let version = Version::parse(plain).map_err(|_| bad())?;
    if releases.versions.contains_key(&version) {
        return Ok((version, None));
    }
    let candidate = plain.rsplit_once("rc.").and_then(|(base, number)| {
        let base = Version::parse(base.strip_suffix(['-', '.'])?).ok()?;
        Some((base, number.parse().ok()?))
    });
    Ok(candidate.map_or((version, None), |(base, number)| (base, Some(number))))
}

/// There is no such version; there are others.
pub(crate) fn no_such_version(service: &ServiceName, asked: &str, releases: &Releases) -> Error {
    let made = releases
        .versions
        .iter()
        .rev()
        .filter(|(_, r)| r.release.is_some() || !r.candidates.is_empty());
    let known: Vec<String> = made
        .take(5)
        .map(|(version, _)| version.to_string())
        .collect();
    if known.is_empty() {
        return Error::not_found(format!(
            "service `{service}` has no version yet; a run makes one"
        ));
    }
    Error::not_found(format!(
        "service `{service}` has no version {asked}; the newest are {}",
        known.join(", ")
    ))
}

/// The image of a version for an environment: from the registry that feeds it.
pub(crate) fn deployment(
    service: &ServiceName,
    asked: &str,
    environment: &EnvironmentName,
    releases: &Releases,
    platform: &PlatformSpec,
) -> Result<(Version, DeployTarget), Error> {
    let (_, there) = platform
        .environment(environment.as_str())
        .map_err(|error| Error::not_found(error.to_string()))?;
    let (version, number) = version_of(asked, releases)?;
    let record = releases
        .versions
        .get(&version)
        .ok_or_else(|| no_such_version(service, asked, releases))?;
    let (origin, digest) = image(service, &version, number, record)?;
    let repository = match there.production {
        true => platform.production_repository(service),
        false => platform.development_repository(service),
    };
    Ok((
        version,
        DeployTarget {
            environment: environment.clone(),
            origin,
            repository,
            digest,
            overwrites_changes: false,
        },
    ))
}

/// The image that is there, once more.
pub(crate) fn again(
    service: &ServiceName,
    environment: &EnvironmentName,
    rollouts: &Rollouts,
) -> Result<(String, DeployTarget), Error> {
    let Some(current) = rollouts.current() else {
        return Err(Error::Precondition {
            subject: format!("{service} in {environment}"),
            why: format!(
                "service `{service}` has never been deployed to {environment}; name the version that you want"
            ),
        });
    };
    let placement = &current.placement;
    let target = DeployTarget {
        environment: environment.clone(),
        origin: placement.origin.clone(),
        repository: placement.repository.clone(),
        digest: placement.digest.clone(),
        overwrites_changes: false,
    };
    Ok((placement.version.clone(), target))
}

/// The image of a version and the run that made it: the release, or the candidate that is asked for, or the newest.
fn image(
    service: &ServiceName,
    version: &Version,
    number: Option<u32>,
    record: &Record,
) -> Result<(RunId, Digest), Error> {
    let candidate = match (number, &record.release) {
        (Some(number), _) => record.candidates.iter().find(|c| c.number == number),
        (None, Some(release)) => {
            let made = record
                .candidates
                .iter()
                .find(|c| c.digest == release.digest);
            let origin = made.map_or(&release.run, |candidate| &candidate.run);
            return Ok((origin.clone(), release.digest.clone()));
        }
        (None, None) => record.candidates.last(),
    };
    candidate
        .map(|c| (c.run.clone(), c.digest.clone()))
        .ok_or_else(|| {
            let subject = format!("{service} {version}");
            match (number, record.reservations.last()) {
                (Some(number), _) if !record.candidates.is_empty() => {
                    let tags: Vec<String> = record
                        .candidates
                        .iter()
                        .map(|c| candidate_tag(version, c.number))
                        .collect();
                    let asked = candidate_tag(version, number);
                    Error::not_found(format!(
                        "service `{service}` has no candidate {asked}; there are {}",
                        tags.join(", ")
                    ))
                }
                (_, Some(reserved)) => {
                    let why = format!(
                        "{version} of `{service}` has no image yet: run {} is to make it",
                        reserved.run
                    );
                    Error::Precondition { subject, why }
                }
                (_, None) => {
                    Error::not_found(format!("service `{service}` has no version {version}"))
                }
            }
        })
}

/// What a rollback goes back to: the version before, or the one that is named.
pub(crate) fn rollback<'a>(
    service: &ServiceName,
    environment: &EnvironmentName,
    asked: Option<&str>,
    rollouts: &'a Rollouts,
) -> Result<&'a Placed, Error> {
    let subject = format!("{service} in {environment}");
    let Some(current) = rollouts.current() else {
        let why = format!(
            "service `{service}` has never been deployed to {environment}; deploy a version first"
        );
        return Err(Error::Precondition { subject, why });
    };
    let Some(asked) = asked else {
        return rollouts.previous().ok_or_else(|| {
            let why = format!(
                "nothing ran in {environment} before {} of `{service}`, so there is nothing to go back to; deploy the \
                 version that you want",
                current.placement.version
            );
            Error::Precondition { subject, why }
        });
    };
    let plain = asked.strip_prefix('v').unwrap_or(asked);
    if current.placement.version == plain {
        return Err(Error::Precondition {
            subject,
            why: format!("{plain} of `{service}` runs in {environment} already"),
        });
    }
    let found = rollouts
        .history
        .iter()
        .rev()
        .find(|placed| placed.placement.version == plain);
    found.ok_or_else(|| {
        let mut known: Vec<&str> = Vec::new();
        for placed in rollouts.history.iter().rev().filter(|p| p.placement.version != current.placement.version) {
            if !known.contains(&placed.placement.version.as_str()) {
                known.push(&placed.placement.version);
            }
        }
        let before = if known.is_empty() { "nothing did".to_owned() } else { format!("these did: {}", known.join(", ")) };
        Error::not_found(format!(
            "{plain} of `{service}` has never run in {environment}; {before}. To bring it there for the first time, deploy it"
        ))
    })
}

#[cfg(test)]
mod tests {
    use domain::release::Event;
    use domain::version::Level;

    use super::*;

    #[test]
    fn a_text_names_a_version_or_one_of_its_candidates() {
        let v = |text: &str| text.parse::<Version>().unwrap();
        let reserved = Event::Reserved {
            run: "r".parse().unwrap(),
            version: v("2.0.0-rc.1"),
            level: Level::Major,
            commit: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        let releases = Releases::fold([(1, reserved)]);
        for (text, version, number) in [
            ("1.4.0", "1.4.0", None),
            ("v1.4.0", "1.4.0", None),
            ("1.4.0-rc.2", "1.4.0", Some(2)),
            ("2.0.0-rc.1", "2.0.0-rc.1", None),
            ("2.0.0-rc.1.rc.3", "2.0.0-rc.1", Some(3)),
            ("1.4.0-beta.1", "1.4.0-beta.1", None),
        ] {
            assert_eq!(
                version_of(text, &releases).unwrap(),
                (v(version), number),
                "{text}"
            );
        }
        assert!(version_of("latest", &releases).is_err());
    }
}
