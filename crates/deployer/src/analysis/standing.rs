//! What all that was measured comes to at a step.

use std::time::Duration;

use domain::analysis::judge::Patience;
use domain::analysis::progress::{Progress, Series};
use domain::analysis::verdict::Verdict;
use domain::spec::{Metric, Provider, TimeSpan};
use jiff::Timestamp;

use super::{container, http};

/// Where a rollout is.
pub(super) struct At {
    /// The step, counted from 0.
    pub(super) step: usize,
    pub(super) patience: Patience,
    /// The step is there for the analysis: measurements that end are awaited to their end.
    pub(super) is_analysis: bool,
    pub(super) now: Timestamp,
}

/// What a metric keeps a step waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// There is no number yet, or none any more.
    Data,
    /// There are numbers, but not all that are wanted.
    More,
}

/// What the metrics come to; none as long as it is worth waiting.
pub(super) fn of_metrics(metrics: &Progress, at: &At) -> Option<Verdict> {
    if let Some(conclusion) = metrics.conclusion() {
        return Some(conclusion.verdict);
    }
    let open = |series: &&Series| series.conclusion().is_none() && !series.metric().dry_run;
    let awaits = |what| {
        let mut open = metrics.series().iter().filter(open);
        open.any(|series| awaited(series, metrics, at) == what)
    };
    let waits = match at.patience {
        Patience::StepGoesOn => true,
        Patience::StepIsOver => awaits(Awaited::Data) || awaits(Awaited::More),
        Patience::Exhausted => awaits(Awaited::More),
    };
    if waits {
        return None;
    }
    // Those that go on are asked what they would come to now.
    let mut until_now = metrics.clone();
    until_now.stop(at.now);
    Some(until_now.conclusion()?.verdict)
}

fn awaited(series: &Series, metrics: &Progress, at: &At) -> Awaited {
    let metric = series.metric();
    let Some(last) = series.measurements().last() else {
        let has_begun = at.step + 1 >= metric.starting_step.unwrap_or(1) as usize;
        let is_due = metrics.due(at.now).any(|due| due.name == metric.name);
        return match (is_due, has_begun && at.is_analysis) {
            (true, _) => Awaited::Data,
            (false, true) => Awaited::More,
            (false, false) => Awaited::Nothing,
        };
    };
    let has_end = metric.effective_count().is_some() && at.is_analysis;
    match last.verdict {
        Verdict::Error | Verdict::NoData => Awaited::Data,
        _ if has_end || metric.consecutive_success_limit.is_some() => Awaited::More,
        Verdict::Pass | Verdict::Fail | Verdict::Inconclusive => Awaited::Nothing,
    }
}

/// The worse of what was compared, if anything is, and of what was measured. A pass there is when both have passed and
/// nothing is awaited any more.
pub(super) fn of_both(
    compared: Option<Option<Verdict>>,
    measured: Option<Verdict>,
    patience: Patience,
) -> Option<Verdict> {
    let compared = compared.unwrap_or(Some(Verdict::Pass));
    let worst = compared.max(measured)?;
    let has_passed = compared.is_some() && measured.is_some() && patience != Patience::StepGoesOn;
    (worst != Verdict::Pass || has_passed).then_some(worst)
}

/// How long all measurements of a metric take, if they end.
pub(super) fn time_of(metric: &Metric) -> Duration {
    let of = |time: Option<TimeSpan>| time.map_or(Duration::ZERO, TimeSpan::get);
    let one = match &metric.provider {
        Provider::Container(query) => container::limit(query),
        Provider::Http(query) => http::limit(query),
        Provider::Prometheus(_) | Provider::Pods => Duration::ZERO,
    };
    let pauses = metric.effective_count().unwrap_or(1).saturating_sub(1);
    let all = of(metric.interval)
        .saturating_add(one)
        .saturating_mul(pauses);
    of(metric.initial_delay)
        .saturating_add(one)
        .saturating_add(all)
}

#[cfg(test)]
mod tests {
    use domain::analysis::measurement::Measurement;
    use domain::spec::Analysis;

    use super::*;

    fn at(patience: Patience, is_analysis: bool) -> At {
        At {
            step: 0,
            patience,
            is_analysis,
            now: Timestamp::from_second(100).expect("a time"),
        }
    }

    fn metric(interval: Option<u64>, count: Option<u32>) -> Metric {
        let mut metric = Metric::new("success", Provider::Pods);
        metric.pass = Provider::Pods.own_condition();
        metric.interval = interval.map(TimeSpan::from_secs);
        metric.count = count;
        metric
    }

    fn progress(metric: &Metric, values: &[f64]) -> Progress {
        let mut progress = Progress::new(&Analysis {
            metrics: vec![metric.clone()],
            ..Analysis::default()
        });
        progress.reach_step(1, Timestamp::UNIX_EPOCH);
        for (second, value) in (1..).zip(values) {
            let when = Timestamp::from_second(second).expect("a time");
            let values = if value.is_nan() { vec![] } else { vec![*value] };
            let measurement = Measurement::of(metric, "replicas", Ok(values), when);
            progress
                .record("success", measurement)
                .expect("it is there");
        }
        progress
    }

    #[test]
    fn a_metric_that_goes_on_passes_a_step_when_its_time_is_over() {
        let metrics = progress(&metric(Some(60), None), &[0.0]);
        assert_eq!(of_metrics(&metrics, &at(Patience::StepGoesOn, false)), None);
        let over = of_metrics(&metrics, &at(Patience::StepIsOver, false));
        assert_eq!(over, Some(Verdict::Pass));
    }

    #[test]
    fn a_failure_is_told_at_once() {
        let metrics = progress(&metric(Some(60), None), &[0.0, 1.0]);
        let now = of_metrics(&metrics, &at(Patience::StepGoesOn, false));
        assert_eq!(now, Some(Verdict::Fail));
    }

    #[test]
    fn without_a_number_a_step_waits_and_then_there_is_no_data() {
        for values in [&[][..], &[f64::NAN]] {
            let metrics = progress(&metric(Some(60), None), values);
            assert_eq!(of_metrics(&metrics, &at(Patience::StepIsOver, false)), None);
            let end = of_metrics(&metrics, &at(Patience::Exhausted, false));
            assert_eq!(end, Some(Verdict::NoData));
        }
    }

    #[test]
    fn only_a_step_that_is_there_for_it_waits_for_the_last_measurement() {
        let metrics = progress(&metric(Some(60), Some(3)), &[0.0]);
        let bake = of_metrics(&metrics, &at(Patience::StepIsOver, false));
        assert_eq!(bake, Some(Verdict::Pass));
        for patience in [Patience::StepIsOver, Patience::Exhausted] {
            assert_eq!(of_metrics(&metrics, &at(patience, true)), None);
        }
        let all = progress(&metric(Some(60), Some(3)), &[0.0, 0.0, 0.0]);
        let analysis = of_metrics(&all, &at(Patience::StepIsOver, true));
        assert_eq!(analysis, Some(Verdict::Pass));
    }

    #[test]
    fn a_dry_run_decides_nothing() {
        let mut dry = metric(Some(60), None);
        dry.dry_run = true;
        let metrics = progress(&dry, &[1.0]);
        let now = of_metrics(&metrics, &at(Patience::StepIsOver, false));
        assert_eq!(now, Some(Verdict::Pass));
    }

    #[test]
    fn a_pass_needs_both_and_a_failure_only_one() {
        use Verdict::{Fail, Inconclusive, Pass};
        let over = Patience::StepIsOver;
        assert_eq!(of_both(Some(Some(Pass)), Some(Pass), over), Some(Pass));
        assert_eq!(of_both(None, Some(Pass), over), Some(Pass));
        assert_eq!(of_both(Some(None), Some(Pass), over), None);
        assert_eq!(of_both(Some(Some(Pass)), None, over), None);
        assert_eq!(of_both(Some(None), Some(Fail), over), Some(Fail));
        assert_eq!(of_both(Some(Some(Fail)), None, over), Some(Fail));
        assert_eq!(
            of_both(Some(Some(Inconclusive)), Some(Fail), over),
            Some(Fail)
        );
        let early = of_both(Some(Some(Pass)), Some(Pass), Patience::StepGoesOn);
        assert_eq!(early, None, "the step goes on anyway");
    }

    #[test]
    fn the_time_of_all_measurements_is_known_before() {
        assert_eq!(time_of(&metric(Some(60), Some(5))).as_secs(), 240);
        assert_eq!(time_of(&metric(Some(60), None)).as_secs(), 0);
        assert_eq!(time_of(&metric(None, None)).as_secs(), 0);
    }
}
