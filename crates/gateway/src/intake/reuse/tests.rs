//! Which earlier run is as good as a new one.

use domain::ids::WorkerId;
use domain::plan::plan;
use domain::platform::PlatformSpec;
use domain::run::{Actor, Created, Event, Trigger};
use domain::stage::{Outcome, StageResult};
use domain::version::Level;

use super::*;

const SPEC: &str = "
service: orders
build: { image: rust, run: make }
test:
  unit: { run: make test }
  integration: { run: make check }
";
const MADE: [&str; 4] = ["build", "unit-test", "image", "publish"];

fn spec(text: &str) -> ServiceSpec {
    domain::spec::parse("slipway.yaml", text).unwrap()
}

fn platform(development: &str) -> PlatformSpec {
    PlatformSpec::default_for_one_machine(development, "prod:5000")
}

fn change(kind: Kind) -> Change {
    Change {
        service: "orders".parse().unwrap(),
        kind,
        repository: "https://git.example.org/orders".to_owned(),
        reference: "main".to_owned(),
        commit: "a".repeat(40),
        path: String::new(),
        subject: "feat: Start".to_owned(),
        author: "Ada <ada@example.org>".to_owned(),
        trigger: Trigger {
            via: "grpc".to_owned(),
            delivery: "1".to_owned(),
            actor: Actor("ada".to_owned()),
        },
    }
}

fn digest(digit: char) -> Digest {
    format!("sha256:{}", digit.to_string().repeat(64))
        .parse()
        .unwrap()
}

fn version(minor: u64) -> PlannedVersion {
    PlannedVersion {
        version: Version::new(0, minor, 0),
        previous: None,
        level: Level::Minor,
        because: "minor: feat: Start".to_owned(),
    }
}

fn result(stage: &str) -> StageResult {
    let artifact = match stage {
        "build" => Some(Artifact::Workspace {
            image: "slipway-workspace/orders:r1".to_owned(),
            engine: "engine-1".to_owned(),
        }),
        "publish" => Some(Artifact::Candidate {
            tag: "0.1.0-rc.1".to_owned(),
            digest: digest('a'),
        }),
        _ => None,
    };
    StageResult {
        artifact,
        summary: format!("{stage} is done"),
        tests: None,
    }
}

/// A run in which each of `passed` succeeded.
fn run(id: &str, text: &str, kind: Kind, reused: Vec<ReusedStage>, passed: &[&str]) -> Run {
    let spec = spec(text);
    let plan = plan(&spec, &platform("dev:5000"), &kind);
    let (at, worker): (_, WorkerId) = (Timestamp::UNIX_EPOCH, "w1".parse().unwrap());
    let created = Event::Created(Box::new(Created {
        run: id.parse().unwrap(),
        change: change(kind),
        version: Some(version(1)),
        spec,
        plan,
        reused,
        at,
    }));
    let mut events = vec![created];
    for name in passed {
        let stage: StageName = name.parse().unwrap();
        events.push(Event::StageStarted {
            stage: stage.clone(),
            attempt: 1,
            worker: worker.clone(),
            at,
        });
        events.push(Event::StageEnded {
            stage,
            attempt: 1,
            outcome: Outcome::Succeeded(Box::new(result(name))),
            at,
        });
    }
    Run::fold(&id.parse().unwrap(), (1..).zip(events)).unwrap()
}

fn carried() -> Run {
    run("r1", SPEC, Kind::Change, Vec::new(), &MADE)
}

/// What the new run, of `text` on the registry at `development`, can use of an earlier one.
fn used_of(earlier_run: &Run, change: &Change, text: &str, development: &str) -> Option<Earlier> {
    let spec = spec(text);
    let plan = plan(&spec, &platform(development), &change.kind);
    let sought = Sought {
        change,
        spec: &spec,
        plan: &plan,
    };
    earlier(&sought, earlier_run)
}

fn same_again(earlier_run: &Run) -> Option<Earlier> {
    used_of(earlier_run, &change(Kind::Change), SPEC, "dev:5000")
}

fn reserved(number: u64, minor: u64, commit: &str) -> (u64, domain::release::Event) {
    let event = domain::release::Event::Reserved {
        run: format!("r{number}").parse().unwrap(),
        version: Version::new(0, minor, 0),
        level: Level::Minor,
        commit: commit.repeat(40),
        at: Timestamp::UNIX_EPOCH,
    };
    (number, event)
}

#[test]
fn what_the_same_commit_made_is_used_again_with_its_version_and_image() {
    let earlier = same_again(&carried()).unwrap();
    let stages: Vec<(String, &str, &str)> = earlier
        .stages
        .iter()
        .map(|s| {
            (
                s.stage.to_string(),
                s.from.as_str(),
                s.result.summary.as_str(),
            )
        })
        .collect();
    let expected = MADE.map(|stage| (stage.to_owned(), "r1", format!("{stage} is done")));
    let expected = expected
        .each_ref()
        .map(|(s, r, t)| (s.clone(), *r, t.as_str()));
    assert_eq!(stages, expected);
    assert_eq!(earlier.version, version(1));
    assert_eq!(
        (earlier.repository.as_str(), &earlier.digest),
        ("dev:5000/orders", &digest('a'))
    );
    assert_eq!(
        earlier.workspace.as_deref(),
        Some("slipway-workspace/orders:r1")
    );
}

#[test]
fn of_a_run_that_reused_a_third_the_third_is_named() {
    let first = same_again(&carried()).unwrap();
    let second = run("r2", SPEC, Kind::Change, first.stages.clone(), &[]);
    assert_eq!(same_again(&second).unwrap(), first);
}

#[test]
fn a_run_that_did_not_come_to_its_candidate_is_no_use() {
    for done in 0..MADE.len() {
        let run = run("r1", SPEC, Kind::Change, Vec::new(), &MADE[..done]);
        assert_eq!(same_again(&run), None, "{done}");
    }
}

#[test]
fn whatever_else_is_different_makes_a_run_no_use() {
    let (earlier_run, change) = (carried(), change(Kind::Change));
    let used = |change: &Change| used_of(&earlier_run, change, SPEC, "dev:5000").is_some();
    assert!(used(&change));
    let other = |edit: fn(&mut Change)| {
        let mut change = change.clone();
        edit(&mut change);
        change
    };
    assert!(!used(&other(|c| c.commit = "b".repeat(40))));
    assert!(!used(&other(|c| c.repository.push('2'))));
    assert!(!used(&other(|c| c.path.push('a'))));
    assert!(!used(&other(|c| c.service = "pricing".parse().unwrap())));
    let number = "1".to_owned();
    let proposal = other(|c| {
        c.kind = Kind::Proposal {
            number: "1".to_owned(),
        }
    });
    assert!(!used(&proposal));
    assert_eq!(used_of(&earlier_run, &change, SPEC, "other:5000"), None);
    let spec = format!("{SPEC}deploy: {{ replicas: 3 }}\n");
    assert_eq!(used_of(&earlier_run, &change, &spec, "dev:5000"), None);
    let made = &MADE[..3];
    let proposed = run("r1", SPEC, Kind::Proposal { number }, Vec::new(), made);
    assert_eq!(same_again(&proposed), None);
}

#[test]
fn the_workspace_matters_only_where_tests_in_an_environment_run_in_it() {
    let own = SPEC.replace("{ run: make check }", "{ image: curl, run: curl orders }");
    for text in [
        own.as_str(),
        &SPEC.replace("  integration: { run: make check }\n", ""),
    ] {
        let run = run("r1", text, Kind::Change, Vec::new(), &MADE);
        let used = used_of(&run, &change(Kind::Change), text, "dev:5000").unwrap();
        assert_eq!(used.workspace, None, "{text}");
    }
}

#[test]
fn only_the_newest_version_is_used_again_and_only_if_no_other_commit_has_it() {
    let earlier = same_again(&carried()).unwrap();
    let newest = |events: &[(u64, domain::release::Event)], tags: &[(Version, String)]| {
        earlier.is_newest(&Releases::fold(events.iter().cloned()), tags)
    };
    let mine = reserved(1, 1, "a");
    assert!(newest(std::slice::from_ref(&mine), &[]));
    assert!(!newest(&[], &[]));
    let older = [
        reserved(1, 0, "b"),
        reserved(2, 1, "a"),
        reserved(3, 1, "a"),
    ];
    assert!(newest(&older, &[(Version::new(0, 1, 0), String::new())]));
    assert!(!newest(&[mine.clone(), reserved(2, 2, "b")], &[]), "newer");
    assert!(!newest(&[mine.clone(), reserved(2, 1, "b")], &[]), "theirs");
    let tag = (Version::new(1, 0, 0), "b".repeat(40));
    assert!(
        !newest(std::slice::from_ref(&mine), &[tag]),
        "a tag is newer"
    );
    let released = |digit| domain::release::Event::Released {
        run: "r1".parse().unwrap(),
        version: Version::new(0, 1, 0),
        repository: "prod:5000/orders".to_owned(),
        digest: digest(digit),
        commit: "a".repeat(40),
        at: Timestamp::UNIX_EPOCH,
    };
    assert!(newest(&[mine.clone(), (2, released('a'))], &[]));
    assert!(!newest(&[mine, (2, released('b'))], &[]), "another image");
}
