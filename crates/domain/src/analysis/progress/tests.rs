//! Each rule is quoted from the documentation of Argo Rollouts, and tested.

use super::*;
use crate::spec::{Limit, Percent, Provider, TimeSpan};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn metric(change: impl FnOnce(&mut Metric)) -> Metric {
    let mut metric = Metric::new("success", Provider::Pods);
    metric.pass = Some("result == 1".parse().expect("a condition"));
    metric.fail = Some("result == 0".parse().expect("a condition"));
    metric.interval = Some(TimeSpan::from_secs(60));
    change(&mut metric);
    metric
}

fn progress(metrics: Vec<Metric>) -> Progress {
    let mut progress = Progress::new(&Analysis {
        metrics,
        false_aborts: Percent::of(1),
        wait_for_samples: TimeSpan::from_secs(600),
        ..Analysis::default()
    });
    progress.reach_step(1, at(0));
    progress
}

/// `p` passed, `f` failed, `i` inconclusive, `e` impossible, `-` no data; a minute apart.
fn measure(progress: &mut Progress, name: &str, answers: &str) {
    let begun = progress.series.iter().find(|s| s.metric().name == name);
    let metric = begun.expect("the metric").metric().clone();
    let taken = begun.map_or(0, |s| {
        s.counts().measured() + s.counts().no_data + s.counts().errors
    });
    for (index, answer) in (taken..).zip(answers.chars()) {
        let values = match answer {
            'p' => Ok(vec![1.0]),
            'f' => Ok(vec![0.0]),
            'i' => Ok(vec![0.5]),
            '-' => Ok(vec![]),
            _ => Err("connection refused".to_owned()),
        };
        let when = at(60 * i64::from(index) + 60);
        let measurement = Measurement::of(&metric, "query", values, when);
        progress
            .record(name, measurement)
            .expect("the metric is there");
    }
}

fn after(answers: &str, change: impl FnOnce(&mut Metric)) -> Option<Verdict> {
    let mut progress = progress(vec![metric(change)]);
    measure(&mut progress, "success", answers);
    progress.conclusion().map(|c| c.verdict)
}

#[test]
fn more_failed_than_the_limit_is_failed() {
    // "`Failed` count > `failureLimit` (default 0) → Failed. Note >: limit 3 tolerates three failures."
    assert_eq!(after("ppf", |_| ()), Some(Verdict::Fail));
    assert_eq!(
        after("pfpfpf", |m| m.failure_limit = Limit::AtMost(3)),
        None
    );
    assert_eq!(
        after("pfpfpff", |m| m.failure_limit = Limit::AtMost(3)),
        Some(Verdict::Fail)
    );
    // "−1 = off"
    assert_eq!(
        after(&"f".repeat(50), |m| m.failure_limit = Limit::UNLIMITED),
        None
    );
}

#[test]
fn more_inconclusive_than_the_limit_is_inconclusive() {
    // "Inconclusive count > `inconclusiveLimit` (default 0) → Inconclusive"
    assert_eq!(after("pi", |_| ()), Some(Verdict::Inconclusive));
    assert_eq!(
        after("pipi", |m| m.inconclusive_limit = Limit::AtMost(2)),
        None
    );
    assert_eq!(
        after("pipii", |m| m.inconclusive_limit = Limit::AtMost(2)),
        Some(Verdict::Inconclusive)
    );
}

#[test]
fn more_errors_in_a_row_than_the_limit_is_an_error() {
    // "consecutive errors > `consecutiveErrorLimit` (default 4) → Error"
    assert_eq!(after("eeee", |_| ()), None);
    assert_eq!(after("eeeee", |_| ()), Some(Verdict::Error));
    assert_eq!(after("eeeepeeee", |_| ()), None, "a success between them");
    assert_eq!(
        after("ee", |m| m.consecutive_error_limit = Limit::AtMost(1)),
        Some(Verdict::Error)
    );
}

#[test]
fn with_a_count_the_metric_passes_when_it_is_reached() {
    assert_eq!(after("pp", |m| m.count = Some(3)), None);
    assert_eq!(after("ppp", |m| m.count = Some(3)), Some(Verdict::Pass));
    let tolerant = |m: &mut Metric| (m.count, m.failure_limit) = (Some(3), Limit::AtMost(1));
    assert_eq!(
        after("pfp", tolerant),
        Some(Verdict::Pass),
        "the limit was not exceeded"
    );
    assert_eq!(
        after("eepep", |m| m.count = Some(3)),
        None,
        "errors do not count"
    );
}

#[test]
fn so_many_successes_in_a_row_are_enough() {
    // "`consecutiveSuccessLimit` n>0: n in a row → Successful"
    let wanted = |m: &mut Metric| {
        m.consecutive_success_limit = Some(3);
        m.failure_limit = Limit::AtMost(2);
    };
    assert_eq!(after("pfpp", wanted), None);
    assert_eq!(after("pfppp", wanted), Some(Verdict::Pass));
    assert_eq!(after("ppepp", wanted), None, "an error breaks the row");
}

#[test]
fn a_count_without_the_row_is_inconclusive_or_failed() {
    // "when `count` is reached with limits unsatisfied: with failureLimit on → Inconclusive, off → Failed"
    let on = |m: &mut Metric| {
        (m.consecutive_success_limit, m.count) = (Some(3), Some(4));
        m.failure_limit = Limit::AtMost(2);
    };
    let off = |m: &mut Metric| {
        on(m);
        m.failure_limit = Limit::UNLIMITED;
    };
    assert_eq!(after("pfpf", on), Some(Verdict::Inconclusive));
    assert_eq!(after("pfpf", off), Some(Verdict::Fail));
}

#[test]
fn without_an_interval_there_is_one_measurement() {
    // "No `interval` → one measurement."
    let once = |m: &mut Metric| m.interval = None;
    assert_eq!(after("p", once), Some(Verdict::Pass));
    assert_eq!(after("f", once), Some(Verdict::Fail));
    assert_eq!(after("e", once), None, "errors are retried");
}

#[test]
fn an_interval_without_a_count_runs_until_it_is_stopped() {
    // "`interval` without `count` → runs until stopped; stopping a not-failed run = Successful."
    let mut running = progress(vec![metric(|m| m.failure_limit = Limit::AtMost(1))]);
    measure(&mut running, "success", &("p".repeat(30) + "f"));
    assert_eq!(running.conclusion(), None);
    running.stop(at(10_000));
    assert_eq!(running.conclusion().map(|c| c.verdict), Some(Verdict::Pass));
    measure(&mut running, "success", "ff");
    assert_eq!(
        running.conclusion().map(|c| c.verdict),
        Some(Verdict::Pass),
        "it has ended"
    );
}

#[test]
fn no_data_is_never_a_pass() {
    let mut dry = progress(vec![metric(|_| ())]);
    measure(&mut dry, "success", "--e-");
    assert_eq!(dry.conclusion(), None, "there is time to wait");
    dry.stop(at(1000));
    assert_eq!(dry.conclusion().map(|c| c.verdict), Some(Verdict::NoData));

    let mut unasked = progress(vec![metric(|_| ())]);
    unasked.stop(at(1));
    assert_eq!(
        unasked.conclusion().map(|c| c.verdict),
        Some(Verdict::NoData)
    );

    assert_eq!(
        after("--p", |m| m.count = Some(1)),
        Some(Verdict::Pass),
        "it waits for the first"
    );
    assert_eq!(
        after("---", |m| m.count = Some(3)),
        None,
        "no data does not count"
    );
}

#[test]
fn no_data_for_longer_than_one_waits_for_samples_ends_as_no_data() {
    assert_eq!(after(&"-".repeat(10), |_| ()), None);
    assert_eq!(after(&"-".repeat(11), |_| ()), Some(Verdict::NoData));
    assert_eq!(after("------p------", |_| ()), None, "data in between");
}

#[test]
fn what_was_not_to_begin_yet_has_no_say_when_it_is_stopped() {
    let late = metric(|m| m.initial_delay = Some(TimeSpan::from_secs(300)));
    let mut later = metric(|m| m.starting_step = Some(4));
    later.name = "later".to_owned();
    let mut progress = progress(vec![late, later]);
    progress.stop(at(299));
    assert_eq!(
        progress.conclusion().map(|c| c.verdict),
        Some(Verdict::Pass)
    );
}

#[test]
fn the_run_is_its_worst_metric_and_a_bad_one_ends_the_others() {
    // "Run = worst metric; any non-dry-run metric that ends bad terminates the rest."
    let mut other = metric(|_| ());
    other.name = "other".to_owned();
    let mut progress = progress(vec![metric(|m| m.count = Some(1)), other]);
    measure(&mut progress, "success", "p");
    assert_eq!(progress.conclusion(), None);
    assert_eq!(progress.due(at(500)).count(), 1);
    measure(&mut progress, "other", "i");
    let conclusion = progress.conclusion().expect("it has ended");
    assert_eq!(conclusion.verdict, Verdict::Inconclusive);
    assert_eq!(
        conclusion.reason,
        "metric `other`: 1 measurement inconclusive, and the limit is 0; last: inconclusive, result = 0.5, \
         neither `pass` nor `fail` holds (pass: result == 1; fail: result == 0)"
    );
    assert_eq!(
        (progress.due(at(500)).count(), progress.next_due()),
        (0, None)
    );
}

#[test]
fn verdicts_have_an_order() {
    let order = [
        Verdict::Pass,
        Verdict::NoData,
        Verdict::Inconclusive,
        Verdict::Error,
        Verdict::Fail,
    ];
    assert!(order.is_sorted());
    let both = Conclusion::new(Verdict::NoData, "a").or_worse(Conclusion::new(Verdict::Pass, "b"));
    assert_eq!(both.reason, "a");
}

#[test]
fn dry_runs_never_change_the_verdict() {
    // "`dryRun` metrics never change the verdict."
    let mut dry = metric(|m| m.dry_run = true);
    dry.name = "dry".to_owned();
    let mut progress = progress(vec![metric(|m| m.count = Some(1)), dry]);
    measure(&mut progress, "dry", "f");
    assert_eq!(progress.conclusion(), None);
    measure(&mut progress, "success", "p");
    assert_eq!(
        progress.conclusion().map(|c| c.verdict),
        Some(Verdict::Pass)
    );
}

#[test]
fn dry_runs_alone_are_measured_and_pass() {
    let progress = progress(vec![metric(|m| m.dry_run = true)]);
    assert_eq!(progress.due(at(0)).count(), 1);
    assert_eq!(
        progress.conclusion().map(|c| c.verdict),
        Some(Verdict::Pass)
    );
}

#[test]
fn what_is_due_follows_interval_delay_and_step() {
    // "`initialDelay` delays the first. `startingStep` delays background analysis."
    let mut progress = progress(vec![metric(|m| {
        m.initial_delay = Some(TimeSpan::from_secs(30));
        m.starting_step = Some(2);
    })]);
    assert_eq!(progress.next_due(), None);
    progress.reach_step(3, at(100));
    progress.reach_step(4, at(200));
    assert_eq!(progress.next_due(), Some(at(130)));
    assert_eq!(
        (progress.due(at(129)).count(), progress.due(at(130)).count()),
        (0, 1)
    );
    let answer = |value, when| Measurement::of(&metric(|_| ()), "query", value, at(when));
    progress
        .record("success", answer(Ok(vec![1.0]), 131))
        .expect("known");
    assert_eq!(progress.next_due(), Some(at(191)));
    // "Errors retry after 10 s."
    progress
        .record("success", answer(Err("no".to_owned()), 192))
        .expect("known");
    assert_eq!(progress.next_due(), Some(at(202)));
}

#[test]
fn the_last_ten_measurements_are_kept_and_all_are_counted() {
    // "Keep last 10 measurements per metric (`measurementRetention`)."
    let mut progress = progress(vec![metric(|_| ())]);
    measure(&mut progress, "success", &"p".repeat(25));
    let series = &progress.series()[0];
    assert_eq!(
        (series.measurements().count(), series.counts().passed),
        (10, 25)
    );
    assert_eq!(
        series.measurements().last().map(|m| m.at),
        Some(at(25 * 60))
    );
}

#[test]
fn a_measurement_that_comes_twice_counts_once() {
    let mut progress = progress(vec![metric(|m| m.failure_limit = Limit::AtMost(1))]);
    let failed = Measurement::of(&metric(|_| ()), "query", Ok(vec![0.0]), at(1));
    for _ in 0..3 {
        progress.record("success", failed.clone()).expect("known");
    }
    assert_eq!(progress.conclusion(), None);
    assert!(progress.record("nothing", failed).is_err());
}

#[test]
fn nothing_to_measure_is_a_pass() {
    assert_eq!(
        progress(Vec::new()).conclusion().map(|c| c.verdict),
        Some(Verdict::Pass)
    );
}
