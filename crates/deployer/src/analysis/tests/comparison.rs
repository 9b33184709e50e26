//! Requests to both versions, and steps that wait.

use anyhow::{Context as _, Result};
use domain::analysis::judge::{Counts, Look, Traffic};
use domain::analysis::verdict::Verdict;
use domain::rollout::{self, Act, Beginning, Plan};
use domain::spec::{
    Analysis, Canary, CanaryStep, ErrorAnalysis, Metric, Percent, Provider, Strategy, TimeSpan,
};
use jiff::Timestamp;

use super::{Bench, of};
use crate::analysis::Watch;

/// Requests at so many looks, with so many failures of the new version in each hundred.
fn traffic(look: u64, failures: u64) -> Look {
    let of = |requests, failures| Traffic {
        counts: Counts { requests, failures },
        ..Traffic::default()
    };
    Look {
        canary: of(look * 100, look * failures),
        stable: of(50_000 + look * 900, 40_000),
    }
}

fn compared() -> Result<Bench> {
    Bench::new(
        &Analysis {
            errors: Some(ErrorAnalysis {
                max_increase: Percent::of(1),
            }),
            wait_for_samples: TimeSpan::from_secs(30),
            ..Analysis::default()
        },
        None,
    )
}

#[tokio::test]
async fn a_version_that_fails_more_often_is_told_while_the_step_goes_on() -> Result<()> {
    let mut bench = compared()?;
    let told = (0..100).find_map(|look| {
        let now = Timestamp::now();
        bench
            .watch
            .look(2, false, Some(traffic(look, 5)), Some(0), None, now)
    });
    let (verdict, evidence) = told.context("it was never told")?;
    assert_eq!(verdict, Verdict::Fail);
    let text = evidence[0].to_string();
    let begin = "requests to 2.0.0 and at the same time to 1.0.0, as the router counts them: errors: 5 % of ";
    assert!(text.starts_with(begin), "{text}");
    assert!(
        text.contains(" and 0 % of "),
        "what came before does not count: {text}"
    );
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_as_good_passes_when_the_time_of_the_step_is_over() -> Result<()> {
    let mut bench = compared()?;
    for look in 0..50 {
        let now = Timestamp::now();
        let told = bench
            .watch
            .look(2, false, Some(traffic(look, 0)), Some(0), None, now);
        assert_eq!(told, None);
    }
    let now = Timestamp::now();
    let told = bench
        .watch
        .look(2, true, Some(traffic(50, 0)), Some(0), None, now);
    assert_eq!(told.map(|told| told.0), Some(Verdict::Pass));
    Ok(())
}

#[tokio::test]
async fn without_requests_a_step_waits_and_a_person_may_let_it_wait_again() -> Result<()> {
    let mut bench = compared()?;
    let at = |second| Timestamp::from_second(second).expect("a time");
    let mut look = |second, known| bench.watch.look(2, true, None, Some(0), known, at(second));
    assert_eq!(look(0, None), None);
    assert_eq!(look(29, None), None);
    assert_eq!(look(30, None).map(|told| told.0), Some(Verdict::NoData));
    assert!(look(31, None).is_some(), "told until it is kept");
    assert_eq!(look(32, Some(Verdict::NoData)), None);
    assert_eq!(look(40, None), None, "it begins to wait anew");
    assert_eq!(look(69, None), None);
    assert_eq!(look(70, None).map(|told| told.0), Some(Verdict::NoData));
    Ok(())
}

#[test]
fn a_step_is_given_the_time_that_its_analysis_takes() {
    let mut metric = Metric::new("success", Provider::Pods);
    metric.interval = Some(TimeSpan::from_secs(60));
    metric.count = Some(11);
    assert_eq!(Watch::patience(&Analysis::default()).get().as_secs(), 660);
    let patience = Watch::patience(&of([metric]));
    assert_eq!(patience.get().as_secs(), 1260);
}

#[tokio::test]
async fn a_failure_that_a_person_sets_aside_is_looked_at_anew() -> Result<()> {
    let mut bench = compared()?;
    let now = Timestamp::now();
    let mut look = |at, known| bench.watch.look(2, false, Some(at), Some(0), known, now);
    let worse = (0..100).find(|number| look(traffic(*number, 5), None).is_some());
    let worse = worse.context("it was never told")?;
    let again = look(traffic(worse, 5), None);
    assert!(again.is_some(), "told until it is kept");
    assert_eq!(look(traffic(worse, 5), Some(Verdict::Fail)), None);
    assert_eq!(look(traffic(worse, 5), None), None);
    Ok(())
}

#[tokio::test]
async fn what_a_rollout_is_to_keep_is_about_its_step() -> Result<()> {
    let bake = TimeSpan::from_secs(60);
    let analysis = Analysis::default();
    let canary = Canary {
        steps: vec![
            CanaryStep::Weight(Percent::of(10)),
            CanaryStep::Bake(bake),
            CanaryStep::Analyse,
        ],
        analysis: Some(analysis.clone()),
        ..Canary::default()
    };
    let plan = Plan::compile(&Strategy::Canary(canary), Beginning::Older);
    let at = |second| Timestamp::from_second(second).expect("a time");
    let mut progress = rollout::Progress::new(plan, at(0));
    let mut watch = Bench::new(&analysis, None)?.watch;
    let mut act = |progress: &rollout::Progress, second| {
        let act = watch.act(progress, None, 0, at(second));
        act.map(|act| match act {
            Act::Judged { index, verdict, .. } => (index, verdict),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(act(&progress, 1), None, "nothing waits for a verdict");
    progress = progress.apply(Act::StepEntered { index: 1 }, at(10));
    assert_eq!(act(&progress, 69), None, "the time is not over");
    assert_eq!(act(&progress, 70), Some((1, Verdict::Pass)));
    progress = progress.apply(Act::StepEntered { index: 2 }, at(71));
    assert_eq!(act(&progress, 71), Some((2, Verdict::Pass)));
    let paused = Act::Paused {
        by: None,
        reason: "wait".to_owned(),
    };
    assert_eq!(act(&progress.clone().apply(paused, at(72)), 73), None);
    let aborted = Act::AbortRequested {
        by: None,
        reason: "no".to_owned(),
    };
    assert_eq!(act(&progress.apply(aborted, at(72)), 73), None);
    Ok(())
}

#[tokio::test]
async fn replicas_on_their_way_are_not_measured() -> Result<()> {
    let mut metric = Metric::new("replicas", Provider::Pods);
    metric.pass = Provider::Pods.own_condition();
    metric.interval = Some(TimeSpan::from_millis(1));
    let canary = Canary {
        steps: vec![
            CanaryStep::Weight(Percent::of(10)),
            CanaryStep::Bake(TimeSpan::from_secs(0)),
        ],
        analysis: Some(of([metric])),
        ..Canary::default()
    };
    let plan = Plan::compile(&Strategy::Canary(canary.clone()), Beginning::Older);
    let progress = rollout::Progress::new(plan, Timestamp::now());
    let analysis = canary.analysis.context("there is one")?;
    let mut watch = Bench::new(&analysis, None)?.watch;
    for _ in 0..20 {
        assert_eq!(watch.act(&progress, None, 3, Timestamp::now()), None);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let baking = progress.apply(Act::StepEntered { index: 1 }, Timestamp::now());
    let told = loop {
        let act = watch.act(&baking, None, 3, Timestamp::now());
        if let Some(act) = act {
            break act;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(
        told,
        Act::Judged {
            verdict: Verdict::Fail,
            index: 1,
            ..
        }
    ));
    Ok(())
}
