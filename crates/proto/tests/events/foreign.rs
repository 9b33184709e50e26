//! Bytes that another version of Slipway wrote, or nobody.

use domain::{release, rollout, run};
use proptest::prelude::*;
use prost::Message as _;
use proto::event::{DecodeError, WireEvent};
use proto::wire::v1;

use crate::examples;

fn now() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp {
        seconds: 1,
        nanos: 0,
    })
}

/// `bytes` with an embedded message under a field number that this version doesn't know.
fn with_unknown_field(mut bytes: Vec<u8>) -> Vec<u8> {
    // Field 1999, length-delimited: (1999 << 3) | 2 as a varint; two bytes of content.
    bytes.extend([0xfa, 0x7c, 0x02, 0x08, 0x01]);
    bytes
}

fn missing<E: std::fmt::Debug>(decoded: Result<E, DecodeError>) -> &'static str {
    match decoded {
        Err(DecodeError::Missing(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_kind_of_event_from_the_future_is_missing_here() {
    let unknown = with_unknown_field(
        v1::RunEvent {
            at: now(),
            event: None,
        }
        .encode_to_vec(),
    );
    assert_eq!(missing(run::Event::decode(&unknown)), "run event");
    assert_eq!(missing(release::Event::decode(&unknown)), "release event");
    assert_eq!(missing(rollout::Event::decode(&unknown)), "rollout event");
}

#[test]
fn an_outcome_from_the_future_is_missing_here() {
    let ended = v1::StageEnded {
        stage: "build".to_owned(),
        attempt: 1,
        outcome: None,
    };
    let event = v1::RunEvent {
        at: now(),
        event: Some(v1::run_event::Event::StageEnded(ended)),
    };
    assert_eq!(
        missing(run::Event::decode(&event.encode_to_vec())),
        "outcome"
    );
}

#[test]
fn a_step_and_an_act_from_the_future_are_missing_here() {
    let plan = v1::RolloutPlan {
        steps: vec![v1::RolloutStep { step: None }],
        ..v1::RolloutPlan::default()
    };
    let started = v1::RolloutStarted {
        run_id: "r1".to_owned(),
        origin_run_id: "r1".to_owned(),
        digest: format!("sha256:{:064}", 0),
        plan: Some(plan),
        ..v1::RolloutStarted::default()
    };
    let acted = v1::RolloutActed {
        run_id: "r1".to_owned(),
        act: None,
    };
    for (event, what) in [
        (
            v1::rollout_event::Event::Started(started),
            "step of a rollout",
        ),
        (v1::rollout_event::Event::Acted(acted), "act of a rollout"),
    ] {
        let event = v1::RolloutEvent {
            at: now(),
            event: Some(event),
        };
        assert_eq!(
            missing(rollout::Event::decode(&event.encode_to_vec())),
            what
        );
    }
}

#[test]
fn an_end_and_a_level_from_the_future_are_missing_here() {
    let ended = v1::RolloutEnded {
        run_id: "r1".to_owned(),
        end: None,
    };
    let event = v1::RolloutEvent {
        at: now(),
        event: Some(v1::rollout_event::Event::Ended(ended)),
    };
    assert_eq!(
        missing(rollout::Event::decode(&event.encode_to_vec())),
        "end of a rollout"
    );
    let reserved = v1::VersionReserved {
        run_id: "r1".to_owned(),
        version: "1.0.0".to_owned(),
        level: 99,
        commit: "c".to_owned(),
    };
    let event = v1::ReleaseEvent {
        at: now(),
        event: Some(v1::release_event::Event::Reserved(reserved)),
    };
    assert_eq!(
        missing(release::Event::decode(&event.encode_to_vec())),
        "level"
    );
}

#[test]
fn an_event_without_a_time_or_with_a_wrong_one_is_none() {
    let retried = || {
        Some(v1::run_event::Event::Retried(v1::Retried {
            by: "ada".to_owned(),
        }))
    };
    let decode = |at| {
        run::Event::decode(
            &v1::RunEvent {
                at,
                event: retried(),
            }
            .encode_to_vec(),
        )
    };
    assert_eq!(missing(decode(None)), "a time");
    let late = Some(prost_types::Timestamp {
        seconds: i64::MAX,
        nanos: 0,
    });
    assert!(matches!(decode(late), Err(DecodeError::Time)));
}

#[test]
fn what_is_no_name_is_refused_with_the_name() {
    let started = v1::StageStarted {
        stage: "dance".to_owned(),
        attempt: 1,
        worker_id: "w1".to_owned(),
    };
    let event = v1::RunEvent {
        at: now(),
        event: Some(v1::run_event::Event::StageStarted(started)),
    };
    let error = run::Event::decode(&event.encode_to_vec()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"dance\" is not a valid stage name"),
        "{error}"
    );
}

#[test]
fn fields_from_the_future_are_passed_over() {
    for (kind, event) in examples::runs() {
        let read = run::Event::decode(&with_unknown_field(event.encode()));
        assert_eq!(
            read.unwrap_or_else(|error| panic!("{kind}: {error}")),
            event,
            "{kind}"
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = run::Event::decode(&bytes);
        let _ = release::Event::decode(&bytes);
        let _ = rollout::Event::decode(&bytes);
    }

    #[test]
    fn no_broken_event_makes_a_reader_panic(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = which.get(&examples::runs()).1.encode();
        *at.get_mut(&mut bytes) = byte;
        let _ = run::Event::decode(&bytes);
    }
}
