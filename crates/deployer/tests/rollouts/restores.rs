//! Versions whose tests stop, and environments that go back to what they were.

use anyhow::{Context as _, Result};
use domain::ids::{Digest, RunId};
use domain::rollout::{End, Event as RolloutEvent, Placement};
use domain::run::{Actor, Event, RunState, StageState};
use domain::stage::{Failure, Outcome, StageName};
use jiff::Timestamp;
use testkit::load::Load;

use crate::bench::{Bench, SERVICE, eventually, green, red};
use crate::needs_all;
use crate::runs::READY;

/// A service that is tested after its deployment, too.
const TESTED: &str = "{ replicas: 2, ready: { http: /healthz }, drain: 2s, deadline: 20s }
test: { integration: { image: busybox, run: \"true\" } }";

impl Bench {
    /// A run whose version serves in the test environment, and whose tests there have not begun.
    async fn bring_to_its_tests(&self, version: &str, digest: &Digest) -> Result<RunId> {
        let run = self.deploy(version, digest, TESTED).await?;
        green(&self.outcome(&run, &self.test).await?);
        Ok(run)
    }

    /// Lets the tests of a run end.
    async fn test_it(&self, run: &RunId, outcome: Outcome) -> Result<()> {
        let (stage, at) = (
            StageName::IntegrationTest(self.test.clone()),
            Timestamp::now(),
        );
        let tested = self.runs.get(run).await?.context("no run")?;
        let attempt = tested
            .stage(&stage)
            .and_then(|stage| stage.attempts.last())
            .map_or(1, |last| last.number + 1);
        let started = Event::StageStarted {
            stage: stage.clone(),
            attempt,
            worker: "hand-made".parse()?,
            at,
        };
        self.append(run, started).await?;
        let ended = Event::StageEnded {
            stage,
            attempt,
            outcome,
            at,
        };
        self.append(run, ended).await?;
        let run = self.runs.get(run).await?.context("no run")?;
        worker::enqueue_ready(&self.bus, &run).await;
        Ok(())
    }

    async fn fail_its_tests(&self, run: &RunId) -> Result<()> {
        let failure = Failure::because("1 of 3 tests failed");
        self.test_it(run, Outcome::Failed(Box::new(failure))).await
    }

    /// Waits until the environment was put back, or was not.
    async fn restored(&self, run: &RunId) -> Result<Outcome> {
        let stage = StageName::Restore(self.test.clone());
        eventually("the environment is put back", async || {
            let run = self.runs.get(run).await?;
            let state = run.as_ref().and_then(|run| Some(&run.stage(&stage)?.state));
            Ok(match state {
                Some(StageState::Ended { outcome, .. }) => Some(outcome.clone()),
                _ => None,
            })
        })
        .await
    }

    async fn state(&self, run: &RunId) -> Result<RunState> {
        Ok(self.runs.get(run).await?.context("no run")?.state())
    }
}

fn summary(outcome: Outcome) -> String {
    match outcome {
        Outcome::Succeeded(result) => result.summary,
        other => panic!("not put back: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_with_red_tests_is_taken_out_and_what_was_there_serves_again() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let before = bench.rollouts(&bench.test).await?;
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.bring_to_its_tests("1.1.0", &two).await?;
    bench.fail_its_tests(&second).await?;
    assert_eq!(
        summary(bench.restored(&second).await?),
        "1.1.0 was taken out; 1.0.0 serves as before"
    );
    load.stop().await.assert_no_failures();
    assert_eq!(bench.state(&second).await?, RunState::Failed);
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    assert_eq!(bench.answer(&bench.test).await?, "one");
    let after = bench.rollouts(&bench.test).await?;
    assert_eq!(after.line, before.line);
    let (taken_out, why) = after.last_rolled_back.context("it is told")?;
    assert_eq!(taken_out.run, second);
    assert!(why.starts_with("integration-test:"), "{why}");

    // A retry brings it in again, and its tests may pass now.
    let by = Actor("tests".to_owned());
    let at = Timestamp::now();
    bench.append(&second, Event::Retried { by, at }).await?;
    green(&bench.finally(&second, &bench.test).await?);
    bench
        .test_it(&second, Outcome::Succeeded(Box::default()))
        .await?;
    assert!(matches!(
        bench.restored(&second).await?,
        Outcome::Skipped { .. }
    ));
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_version_with_red_tests_leaves_nothing() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let run = bench.bring_to_its_tests("1.0.0", &one).await?;
    bench.fail_its_tests(&run).await?;
    assert_eq!(
        summary(bench.restored(&run).await?),
        "1.0.0 was taken out; nothing ran here before"
    );
    for role in ["replica", "edge"] {
        assert_eq!(bench.containers(&bench.test, role).await?, []);
    }
    let rollouts = bench.rollouts(&bench.test).await?;
    assert!(rollouts.current().is_none() && rollouts.restoring.is_none());
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deployed_after_the_tested_version_stays() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let [one, two, three] = [
        bench.server("one").await?,
        bench.server("two").await?,
        bench.server("three").await?,
    ];
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let second = bench.bring_to_its_tests("1.1.0", &two).await?;
    let third = bench.bring_to_its_tests("1.2.0", &three).await?;
    bench.fail_its_tests(&second).await?;
    assert_eq!(
        summary(bench.restored(&second).await?),
        format!("nothing to do: 1.2.0 of run {third} was deployed here meanwhile")
    );
    assert_eq!(bench.answer(&bench.test).await?, "three");
    // And it does not go back to the one whose tests are red.
    bench.fail_its_tests(&third).await?;
    assert_eq!(
        summary(bench.restored(&third).await?),
        "1.2.0 was taken out; 1.0.0 serves as before"
    );
    assert_eq!(bench.answer(&bench.test).await?, "one");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_comes_back_though_the_run_is_cancelled_and_deployers_are_killed()
-> Result<()> {
    needs_all!();
    let mut bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let second = bench.bring_to_its_tests("1.1.0", &two).await?;
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(100.0));
    bench.fail_its_tests(&second).await?;
    eventually("what was there begins to come back", async || {
        let versions = bench.versions(&bench.test).await?;
        Ok(versions.contains(&"1.0.0".to_owned()).then_some(()))
    })
    .await?;
    bench.cancel(&second).await?;
    bench.kill_deployer().await?;
    assert_eq!(bench.state(&second).await?, RunState::Running);
    bench.start_deployer()?;
    assert_eq!(
        summary(bench.restored(&second).await?),
        "1.1.0 was taken out; 1.0.0 serves as before"
    );
    load.stop().await.assert_no_failures();
    assert_eq!(bench.state(&second).await?, RunState::Cancelled);
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_that_died_before_its_last_word_is_not_needed_again() -> Result<()> {
    needs_all!();
    let mut bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let second = bench.bring_to_its_tests("1.1.0", &two).await?;
    bench.kill_deployer().await?;
    let key = (bench.test.clone(), SERVICE.parse()?);
    let at = Timestamp::now();
    let started = RolloutEvent::RestoreStarted {
        run: second.clone(),
        at,
    };
    let sequence = bench.rollouts(&bench.test).await?.last_sequence;
    bench.rollouts.append(&key, sequence, &started).await?;
    // Its tests have not begun: they are cancelled at once, and the job to put it back is for the sweep to find.
    bench.cancel(&second).await?;
    bench.start_deployer()?;
    assert_eq!(
        summary(bench.restored(&second).await?),
        "1.1.0 was taken out; 1.0.0 serves as before"
    );
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_stays_where_nobody_knows_any_more_how_to_run_the_one_before() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let key = (bench.test.clone(), SERVICE.parse()?);
    let (forgotten, at): (RunId, _) = ("forgotten".parse()?, Timestamp::now());
    let placement = Placement {
        run: forgotten.clone(),
        origin: forgotten.clone(),
        order: 0,
        version: "1.0.0".to_owned(),
        repository: bench.platform.development_repository(&key.1),
        digest: one,
        is_rollback: false,
        at,
    };
    let started = RolloutEvent::Started {
        placement,
        plan: None,
    };
    let sequence = bench.rollouts.append(&key, 0, &started).await?;
    let end = End::Completed {
        address: "http://127.0.0.1:9".to_owned(),
    };
    let run = forgotten;
    let ended = RolloutEvent::Ended { run, end, at };
    bench.rollouts.append(&key, sequence, &ended).await?;
    let second = bench.bring_to_its_tests("1.1.0", &two).await?;
    bench.fail_its_tests(&second).await?;
    let failure = red(bench.restored(&second).await?);
    assert!(
        failure.reason.contains("not known any more") && failure.reason.contains("1.1.0 stays"),
        "{failure:?}"
    );
    assert_eq!(bench.answer(&bench.test).await?, "two");
    let rollouts = bench.rollouts(&bench.test).await?;
    let current = rollouts.current().context("it stays")?;
    assert_eq!(current.placement.run, second);
    assert_eq!(rollouts.restoring, None);
    let run = bench.runs.get(&second).await?.context("no run")?;
    assert_eq!(run.state(), RunState::Failed);
    assert!(run.reason().contains("1 of 3") && run.reason().contains("1.1.0 stays"));
    bench.finish().await
}
