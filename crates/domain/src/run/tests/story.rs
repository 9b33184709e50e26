//! A run and everything that happened to it.

use jiff::{SignedDuration, Timestamp};

use crate::ids::{EnvironmentName, RunId, WorkerId};
use crate::plan::plan;
use crate::run::{Actor, Change, Claim, Created, DeployTarget, Event, Kind, Run, Trigger};
use crate::stage::{Failure, Outcome, StageName, StageResult};

pub(super) const FULL: &str = "
service: delivery
build: { image: rust, run: make }
test:
  unit: { run: make test }
  functional: { image: curl, run: curl http://delivery, ready: { http: /, port: 80 } }
  integration: { image: python, run: pytest }
  load: { path: /, rate: 10, duration: 5s }
";
pub(super) const IMAGE_ONLY: &str = "service: delivery";

/// Two people must agree before production.
pub(super) const TWO_MUST_AGREE: &str = "
registries: { development: { address: \"127.0.0.1:5000\" }, production: { address: \"127.0.0.1:5001\" } }
environments: { test: {}, production: { approvals: 2 } }
";
/// One person must agree before staging, nobody before production.
pub(super) const STAGING: &str = "
registries: { development: { address: \"127.0.0.1:5000\" }, production: { address: \"127.0.0.1:5001\" } }
environments: { staging: { approvals: 1 }, production: {} }
";

pub(super) struct Story {
    pub(super) run: Run,
    /// Every event with its sequence, the ones that changed nothing included.
    pub(super) events: Vec<(u64, Event)>,
    pub(super) now: Timestamp,
}

impl Story {
    pub(super) fn of(spec: &str, platform: &str, kind: &Kind) -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let created = created(spec, platform, kind, now);
        let run = Run::first(&run_id(), 1, created.clone()).unwrap();
        Self {
            run,
            events: vec![(1, created)],
            now,
        }
    }

    pub(super) fn full() -> Self {
        Self::of(FULL, TWO_MUST_AGREE, &Kind::Change)
    }

    pub(super) fn proposal() -> Self {
        Self::of(
            FULL,
            TWO_MUST_AGREE,
            &Kind::Proposal {
                number: "1".to_owned(),
            },
        )
    }

    /// A full run that waits for approval of production.
    pub(super) fn before_production() -> Self {
        let mut story = Self::full();
        while let Some(job) = story.run.ready().first().cloned() {
            story.pass(&job.stage.to_string());
        }
        assert_eq!(story.run.waits_for().len(), 1);
        story
    }

    pub(super) fn append(&mut self, event: Event) {
        let sequence = self.run.last_sequence + 1;
        self.events.push((sequence, event.clone()));
        self.run = self.run.clone().apply(sequence, event);
    }

    pub(super) fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(super) fn start(&mut self, stage: &str) {
        let stage = name(stage);
        let attempt = self
            .run
            .stage(&stage)
            .unwrap()
            .attempts
            .last()
            .map_or(1, |a| a.number + 1);
        match self.run.claim(&stage, attempt, &worker(), self.now) {
            Claim::Start(event) => self.append(event),
            other => panic!("{stage}: {other:?}"),
        }
    }

    pub(super) fn end(&mut self, stage: &str, outcome: Outcome) {
        let stage = name(stage);
        let attempt = self
            .run
            .stage(&stage)
            .unwrap()
            .attempts
            .last()
            .unwrap()
            .number;
        let event = self.run.end(&stage, attempt, outcome, self.now).unwrap();
        self.append(event);
    }

    pub(super) fn pass(&mut self, stage: &str) {
        self.start(stage);
        self.end(stage, success());
    }

    pub(super) fn approve(&mut self, by: &str) {
        let event = self
            .run
            .approve(&environment("production"), &actor(by), "", self.now)
            .unwrap();
        self.append(event);
    }

    pub(super) fn cancel(&mut self) {
        let event = self
            .run
            .cancel(&actor("ada"), "not needed", self.now)
            .unwrap();
        self.append(event);
    }

    pub(super) fn retry(&mut self) {
        let event = self.run.retry_by(&actor("ada"), self.now).unwrap();
        self.append(event);
    }

    /// The stable name of a stage's state.
    pub(super) fn state_of(&self, stage: &str) -> &'static str {
        self.run.stage(&name(stage)).unwrap().state.name()
    }

    /// The names of the stages that may be claimed.
    pub(super) fn ready(&self) -> Vec<String> {
        self.run
            .ready()
            .iter()
            .map(|job| job.stage.to_string())
            .collect()
    }
}

pub(super) fn created(spec: &str, platform: &str, kind: &Kind, at: Timestamp) -> Event {
    let spec = crate::spec::parse("slipway.yaml", spec).unwrap();
    let platform = crate::platform::parse("platform.yaml", platform).unwrap();
    let change = change(kind);
    let plan = plan(&spec, &platform, kind);
    Event::Created(Box::new(Created {
        run: run_id(),
        change,
        version: None,
        spec,
        plan,
        reused: Vec::new(),
        at,
    }))
}

pub(super) fn change(kind: &Kind) -> Change {
    Change {
        service: "delivery".parse().unwrap(),
        kind: kind.clone(),
        repository: "https://git.example.org/delivery".to_owned(),
        reference: "main".to_owned(),
        commit: "a".repeat(40),
        path: String::new(),
        subject: "feat: a".to_owned(),
        author: "Ada <ada@example.org>".to_owned(),
        trigger: Trigger {
            via: "grpc".to_owned(),
            delivery: "1".to_owned(),
            actor: actor("ada"),
        },
    }
}

pub(super) fn target(environment: &str) -> DeployTarget {
    DeployTarget {
        environment: environment.parse().unwrap(),
        origin: "origin".parse().unwrap(),
        repository: "127.0.0.1:5000/delivery".to_owned(),
        digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
        overwrites_changes: false,
    }
}

pub(super) fn run_id() -> RunId {
    "r1".parse().unwrap()
}

pub(super) fn worker() -> WorkerId {
    "w1".parse().unwrap()
}

pub(super) fn actor(name: &str) -> Actor {
    Actor(name.to_owned())
}

pub(super) fn name(text: &str) -> StageName {
    text.parse().unwrap()
}

pub(super) fn environment(text: &str) -> EnvironmentName {
    text.parse().unwrap()
}

pub(super) fn success() -> Outcome {
    Outcome::Succeeded(Box::new(StageResult {
        summary: "done".to_owned(),
        ..StageResult::default()
    }))
}

pub(super) fn failure() -> Outcome {
    Outcome::Failed(Box::new(Failure::because("two tests are red")))
}

pub(super) fn errored(retryable: bool) -> Outcome {
    Outcome::Errored {
        failure: Box::new(Failure::because("the disk is full")),
        retryable,
    }
}
