//! What a verdict rests on, for people: what decided first.

use std::cmp::Reverse;

use domain::analysis::judge::{self, Judge, Measure, Standing};
use domain::analysis::measurement::Measurement;
use domain::analysis::progress::{Progress, Series};
use domain::analysis::subject::Subject;
use domain::analysis::verdict::Verdict;
use domain::rollout::Evidence;

/// The versions that are compared.
pub(super) struct Versions {
    canary: String,
    stable: String,
}

impl Versions {
    pub(super) fn of(subject: &Subject) -> Self {
        Self {
            canary: subject.version.clone(),
            stable: subject.stable.clone(),
        }
    }
}

/// Everything that was measured, the worst first, and at the end what has no say.
pub(super) fn of(
    compared: Option<(&Judge, Verdict)>,
    versions: &Versions,
    metrics: &Progress,
    min_samples: u32,
) -> Vec<Evidence> {
    let mut found: Vec<(bool, Reverse<Verdict>, Evidence)> = Vec::new();
    if let Some((judge, verdict)) = compared {
        for evidence in judge.evidence() {
            let verdict = verdict_of(&evidence, verdict);
            let text = of_requests(&evidence, versions, min_samples);
            found.push((false, Reverse(verdict), text));
        }
    }
    for series in metrics.series() {
        let verdict = reached(series);
        let evidence = of_metric(series);
        found.push((series.metric().dry_run, Reverse(verdict), evidence));
    }
    found.sort_by_key(|(is_dry, verdict, _)| (*is_dry, *verdict));
    found.into_iter().map(|(_, _, evidence)| evidence).collect()
}

/// What led to a verdict, in one line: what decided first.
pub(super) fn line(
    step: usize,
    verdict: Verdict,
    compared: Option<(&Judge, Verdict)>,
    metrics: &Progress,
) -> String {
    let mut found: Vec<(Reverse<Verdict>, String)> = Vec::new();
    for evidence in compared.iter().flat_map(|(judge, _)| judge.evidence()) {
        let of_one = verdict_of(&evidence, compared.map_or(verdict, |(_, verdict)| verdict));
        found.push((Reverse(of_one), briefly(&evidence)));
    }
    for series in metrics.series().iter().filter(|s| !s.metric().dry_run) {
        let last = series.measurements().last();
        let words = match last {
            Some(last) => format!("`{}` {}", series.metric().name, of_last(last)),
            None => format!("`{}` was not measured", series.metric().name),
        };
        found.push((Reverse(reached(series)), words));
    }
    found.sort_by_key(|(verdict, _)| *verdict);
    let more = found.len().saturating_sub(MOST_PARTS);
    let mut parts: Vec<String> = found.into_iter().map(|(_, words)| words).collect();
    parts.truncate(MOST_PARTS);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    let parts = parts.join("; ");
    format!("analysis of step {}: {verdict}: {parts}", step + 1)
}

/// As many things are told in a line.
const MOST_PARTS: usize = 5;
/// As much of why there is no number.
const LONGEST: usize = 160;

/// `errors: 0.2 % of 1,204 against 0.3 % of 4,903`
fn briefly(evidence: &judge::Evidence) -> String {
    let share = |share: f64, requests: u64| format!("{share:.2} % of {}", grouped(requests));
    let (canary, stable) = (
        share(evidence.canary_rate * 100.0, evidence.canary.requests),
        share(evidence.stable_rate * 100.0, evidence.stable.requests),
    );
    let slow = match evidence.measure {
        Measure::Errors => "",
        Measure::Latency(_) => " slow",
    };
    format!("{}: {canary}{slow} against {stable}", evidence.measure)
}

/// `1,204`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `0.97 (pass: result >= 0.99)`
fn of_last(last: &Measurement) -> String {
    let value = match last.values.as_slice() {
        [] => last.verdict.to_string(),
        [value] => value.to_string(),
        values => format!("{values:?}"),
    };
    let why: String = last.message.chars().take(LONGEST).collect();
    match why.as_str() {
        "" => format!("{value} ({})", last.threshold),
        why => format!("{value}, {why} ({})", last.threshold),
    }
}

fn verdict_of(evidence: &judge::Evidence, otherwise: Verdict) -> Verdict {
    match evidence.standing {
        Standing::Worse => Verdict::Fail,
        Standing::NotWorse => Verdict::Pass,
        Standing::Open => otherwise,
    }
}

/// What a metric came to, or would now.
fn reached(series: &Series) -> Verdict {
    let concluded = series.conclusion().map(|conclusion| conclusion.verdict);
    let last = series.measurements().last().map(|last| last.verdict);
    concluded.or(last).unwrap_or(Verdict::NoData)
}

fn of_requests(evidence: &judge::Evidence, versions: &Versions, min_samples: u32) -> Evidence {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let Versions { canary, stable } = versions;
    Evidence {
        query: format!(
            "requests to {canary} and at the same time to {stable}, as the router counts them"
        ),
        values: format!(
            "{evidence}; the difference is between {} and {}, after {} looks",
            percent(evidence.difference.lower),
            percent(evidence.difference.upper),
            evidence.looks
        ),
        threshold: format!(
            "{} more, from {min_samples} requests on; at most {} of good versions are called worse",
            percent(evidence.limit),
            percent(evidence.false_aborts)
        ),
    }
}

fn of_metric(series: &Series) -> Evidence {
    let metric = series.metric();
    let role = if metric.dry_run { " (dry run)" } else { "" };
    let named = format!("metric `{}`{role}", metric.name);
    let Some(last) = series.measurements().last() else {
        return Evidence {
            query: named,
            values: "nothing was measured".to_owned(),
            threshold: String::new(),
        };
    };
    let kept: Vec<String> = series.measurements().map(measurement).collect();
    let counts = series.counts();
    let all = counts.measured() + counts.no_data + counts.errors;
    let more = match all as usize - kept.len() {
        0 => String::new(),
        more => format!("{more} earlier ones, "),
    };
    Evidence {
        query: format!("{named}: {}", last.query),
        values: format!("{more}{}", kept.join(", ")),
        threshold: last.threshold.clone(),
    }
}

/// `0.97 fail (2026-01-02T03:04:05Z)`
fn measurement(measurement: &Measurement) -> String {
    let value = match measurement.values.as_slice() {
        [] => String::new(),
        [value] => format!("{value} "),
        values => format!("{values:?} "),
    };
    let why = match measurement.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    let at = measurement.at.strftime("%FT%TZ");
    format!("{value}{}{why} ({at})", measurement.verdict)
}

#[cfg(test)]
mod tests {
    use domain::spec::{Analysis, Metric, Provider};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_decided_comes_first_and_a_dry_run_last() {
        let metric = |name: &str, dry_run| {
            let mut metric = Metric::new(name, Provider::Pods);
            metric.pass = Some("result == 0".parse().expect("a condition"));
            metric.dry_run = dry_run;
            metric
        };
        let metrics = vec![
            metric("dry", true),
            metric("good", false),
            metric("bad", false),
        ];
        let mut progress = Progress::new(&Analysis {
            metrics: metrics.clone(),
            ..Analysis::default()
        });
        progress.reach_step(1, Timestamp::UNIX_EPOCH);
        for (metric, value) in metrics.iter().zip([1.0, 0.0, 3.0]) {
            let at = Timestamp::from_second(1).expect("a time");
            let measurement = Measurement::of(metric, "replicas", Ok(vec![value]), at);
            progress.record(&metric.name, measurement).expect("known");
        }
        let versions = Versions {
            canary: "2".to_owned(),
            stable: "1".to_owned(),
        };
        let found = of(None, &versions, &progress, 100);
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "metric `bad`: replicas: 3 fail (1970-01-01T00:00:01Z); limit: pass: result == 0",
                "metric `good`: replicas: 0 pass (1970-01-01T00:00:01Z); limit: pass: result == 0",
                "metric `dry` (dry run): replicas: 1 fail (1970-01-01T00:00:01Z); limit: pass: result == 0",
            ]
        );
        let line = line(1, Verdict::Fail, None, &progress);
        assert_eq!(
            line,
            "analysis of step 2: fail: `bad` 3 (pass: result == 0); `good` 0 (pass: result == 0)"
        );
    }

    #[test]
    fn compared_requests_are_told_in_a_few_words() {
        use domain::analysis::judge::{Counts, Look, Traffic};
        let analysis = serde_json::from_str(r#"{"errors":{"max_increase":"1%"}}"#);
        let mut judge = Judge::new(&analysis.expect("an analysis"));
        let of = |requests, failures| Traffic {
            counts: Counts::new(requests, failures),
            ..Traffic::default()
        };
        judge.look(&Look {
            canary: of(1204, 2),
            stable: of(1_004_903, 3015),
        });
        let metrics = Progress::new(&Analysis::default());
        let compared = Some((&judge, Verdict::Pass));
        let line = line(3, Verdict::Pass, compared, &metrics);
        assert_eq!(
            line,
            "analysis of step 4: pass: errors: 0.17 % of 1,204 against 0.30 % of 1,004,903"
        );
    }
}
