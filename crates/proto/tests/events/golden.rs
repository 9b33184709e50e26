//! The bytes of each kind of event, kept as they were first written: `tests/golden/v1/<kind>.bin`.
//!
//! A new kind gets its file by `WRITE_GOLDEN=1 cargo test -p proto --test events every_file`, which never changes one
//! that is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use prost::Message as _;
use proto::event::WireEvent;
use proto::wire::v1;

use crate::examples;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn golden(kind: &str) -> Vec<u8> {
    fs::read(directory().join(format!("{kind}.bin")))
        .unwrap_or_else(|error| panic!("{kind}: {error}"))
}

fn decoded_as<E: WireEvent + PartialEq + std::fmt::Debug>(examples: &[(&str, E)]) {
    for (kind, expected) in examples {
        let read = E::decode(&golden(kind)).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(read, *expected, "{kind}");
    }
}

fn encoded_as<E: WireEvent>(examples: &[(&str, E)]) {
    for (kind, event) in examples {
        assert_eq!(
            without_json(&event.encode()),
            without_json(&golden(kind)),
            "{kind}"
        );
    }
}

/// The files of teams and organisations stand in their JSON form in an event. That form may gain keys with defaults.
fn without_json(bytes: &[u8]) -> Vec<u8> {
    let Ok(mut event) = v1::RunEvent::decode(bytes) else {
        return bytes.to_owned();
    };
    let Some(v1::run_event::Event::Created(created)) = &mut event.event else {
        return bytes.to_owned();
    };
    created.spec_json.clear();
    for environment in created
        .plan
        .iter_mut()
        .flat_map(|plan| &mut plan.environments)
    {
        environment.target_json.clear();
    }
    event.encode_to_vec()
}

#[test]
fn what_was_written_once_is_read_as_what_it_was() {
    decoded_as(&examples::runs());
    decoded_as(&examples::releases());
    decoded_as(&examples::rollouts());
    decoded_as(&examples::acts());
}

#[test]
fn events_are_written_as_they_always_were() {
    encoded_as(&examples::runs());
    encoded_as(&examples::releases());
    encoded_as(&examples::rollouts());
    encoded_as(&examples::acts());
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    fn bytes<E: WireEvent>(
        examples: Vec<(&'static str, E)>,
    ) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        examples
            .into_iter()
            .map(|(kind, event)| (kind, event.encode()))
    }
    let events = bytes(examples::runs()).chain(bytes(examples::releases()));
    let events = events.chain(bytes(examples::rollouts()));
    events.chain(bytes(examples::acts())).collect()
}

#[test]
fn every_file_belongs_to_an_event() {
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        write_what_is_missing();
    }
    let kinds: BTreeSet<_> = all()
        .iter()
        .map(|(kind, _)| format!("{kind}.bin"))
        .collect();
    let files: BTreeSet<_> = fs::read_dir(directory())
        .expect("there are golden files")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(kinds, files);
}

/// Makes the files of new kinds, and never changes one that is there.
fn write_what_is_missing() {
    fs::create_dir_all(directory()).expect("writable");
    for (kind, bytes) in all() {
        let file = directory().join(format!("{kind}.bin"));
        if !file.exists() {
            fs::write(file, bytes).expect("writable");
        }
    }
}
