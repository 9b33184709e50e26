//! Events of releases on the wire.

use domain::release::Event;
use domain::version::Level;

use super::{DecodeError, time, version};
use crate::wire::v1;

pub(super) fn level_to_wire(level: Level) -> v1::Level {
    match level {
        Level::Patch => v1::Level::Patch,
        Level::Minor => v1::Level::Minor,
        Level::Major => v1::Level::Major,
    }
}

pub(super) fn level_from_wire(level: v1::Level) -> Result<Level, DecodeError> {
    match level {
        v1::Level::Patch => Ok(Level::Patch),
        v1::Level::Minor => Ok(Level::Minor),
        v1::Level::Major => Ok(Level::Major),
        v1::Level::Unspecified => Err(DecodeError::Missing("level")),
    }
}

pub(super) fn to_wire(event: &Event) -> v1::ReleaseEvent {
    use v1::release_event::Event as Wire;
    let (at, event) = match event {
        Event::Reserved {
            run,
            version,
            level,
            commit,
            at,
        } => (
            at,
            Wire::Reserved(v1::VersionReserved {
                run_id: run.to_string(),
                version: version.to_string(),
                level: level_to_wire(*level).into(),
                commit: commit.clone(),
            }),
        ),
        Event::CandidatePublished {
            run,
            version,
            number,
            repository,
            digest,
            at,
        } => (
            at,
            Wire::CandidatePublished(v1::CandidatePublished {
                run_id: run.to_string(),
                version: version.to_string(),
                number: *number,
                repository: repository.clone(),
                digest: digest.to_string(),
            }),
        ),
        Event::Released {
            run,
            version,
            repository,
            digest,
            commit,
            at,
        } => (
            at,
            Wire::Released(v1::Released {
                run_id: run.to_string(),
                version: version.to_string(),
                repository: repository.clone(),
                digest: digest.to_string(),
                commit: commit.clone(),
            }),
        ),
    };
    v1::ReleaseEvent {
        at: Some(time::to_wire(*at)),
        event: Some(event),
    }
}

pub(super) fn from_wire(event: v1::ReleaseEvent) -> Result<Event, DecodeError> {
    use v1::release_event::Event as Wire;
    let at = time::from_wire(event.at)?;
    Ok(
        match event.event.ok_or(DecodeError::Missing("release event"))? {
            Wire::Reserved(e) => Event::Reserved {
                level: level_from_wire(e.level())?,
                run: e.run_id.parse()?,
                version: version(&e.version)?,
                commit: e.commit,
                at,
            },
            Wire::CandidatePublished(e) => Event::CandidatePublished {
                run: e.run_id.parse()?,
                version: version(&e.version)?,
                number: e.number,
                repository: e.repository,
                digest: e.digest.parse()?,
                at,
            },
            Wire::Released(e) => Event::Released {
                run: e.run_id.parse()?,
                version: version(&e.version)?,
                repository: e.repository,
                digest: e.digest.parse()?,
                commit: e.commit,
                at,
            },
        },
    )
}
