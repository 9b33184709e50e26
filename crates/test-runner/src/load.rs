//! The verdict on a load test.

use domain::spec::LoadTest;
use serde::Deserialize;

/// What `edge load` measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Measured {
    /// Requests that were due.
    pub(crate) requests: u64,
    /// Requests without an answer, or answered with 4xx or 5xx.
    pub(crate) failed: u64,
    /// Half of the answers were faster.
    pub(crate) p50_us: u64,
    /// 99 of 100 answers were faster.
    pub(crate) p99_us: u64,
    /// The slowest answer.
    pub(crate) max_us: u64,
    /// Requests a second that were really sent.
    pub(crate) achieved_rate: f64,
    /// What went wrong first, if anything did.
    #[serde(default)]
    pub(crate) first_error: Option<String>,
}

/// Less than this share of the rate means that the load was not what was asked for.
const ENOUGH: f64 = 0.9;

/// Judges a measurement.
///
/// # Errors
/// What was not held.
pub(crate) fn judge(test: &LoadTest, measured: &Measured) -> Result<String, String> {
    let share = if measured.requests == 0 {
        1.0
    } else {
        measured.failed as f64 / measured.requests as f64
    };
    let summary = format!(
        "{}/s for {}: p99 {}, {:.2} % errors",
        test.rate,
        spoken(&test.duration.to_string()),
        milliseconds(measured.p99_us),
        share * 100.0
    );
    let mut complaints = Vec::new();
    if measured.requests == 0 {
        complaints.push("no request was sent".to_owned());
    }
    if share > test.errors.fraction() {
        let first = measured
            .first_error
            .as_deref()
            .map(|error| format!(", the first: {error}"))
            .unwrap_or_default();
        complaints.push(format!(
            "{} of {} requests failed, more than {}{first}",
            measured.failed, measured.requests, test.errors
        ));
    }
    let answered = measured.requests > measured.failed;
    if let Some(p99) = test
        .p99
        .filter(|p99| answered && u128::from(measured.p99_us) > p99.get().as_micros())
    {
        complaints.push(format!(
            "p99 is {}, more than {}",
            milliseconds(measured.p99_us),
            spoken(&p99.to_string())
        ));
    }
    if answered && measured.achieved_rate < f64::from(test.rate) * ENOUGH {
        complaints.push(format!(
            "only {:.0} requests a second were answered in time to send the next of {}",
            measured.achieved_rate, test.rate
        ));
    }
    if complaints.is_empty() {
        Ok(summary)
    } else {
        Err(format!("{} ({summary})", complaints.join("; ")))
    }
}

/// `12 ms`; below 10 ms with one decimal.
fn milliseconds(us: u64) -> String {
    let ms = us as f64 / 1000.0;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// `30s` as `30 s`; what has several parts stays as it is.
fn spoken(span: &str) -> String {
    match span.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) if span[at..].bytes().all(|b| b.is_ascii_alphabetic()) => {
            format!("{} {}", &span[..at], &span[at..])
        }
        _ => span.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::spec::{Percent, TimeSpan};

    fn test() -> LoadTest {
        LoadTest {
            rate: 200,
            p99: Some(TimeSpan::from_millis(50)),
            errors: Percent::of(1),
            ..LoadTest::default()
        }
    }

    fn measured() -> Measured {
        Measured {
            requests: 6000,
            failed: 0,
            p50_us: 2_000,
            p99_us: 12_000,
            max_us: 30_000,
            achieved_rate: 200.0,
            first_error: None,
        }
    }

    #[test]
    fn what_holds_its_limits_is_summed_up() {
        assert_eq!(
            judge(&test(), &measured()).unwrap(),
            "200/s for 30 s: p99 12 ms, 0.00 % errors"
        );
        let without_limit = LoadTest {
            p99: None,
            ..test()
        };
        assert!(
            judge(
                &without_limit,
                &Measured {
                    p99_us: 9_000_000,
                    ..measured()
                }
            )
            .is_ok()
        );
    }

    #[test]
    fn everything_that_is_not_held_is_said() {
        let bad = Measured {
            failed: 61,
            p99_us: 51_000,
            achieved_rate: 100.0,
            first_error: Some("GET / answered 500".to_owned()),
            ..measured()
        };
        let why = judge(&test(), &bad).unwrap_err();
        for part in [
            "61 of 6000 requests failed, more than 1%",
            "answered 500",
            "p99 is 51 ms, more than 50 ms",
            "only 100",
        ] {
            assert!(why.contains(part), "{why}");
        }
        assert!(
            judge(
                &test(),
                &Measured {
                    requests: 0,
                    ..measured()
                }
            )
            .unwrap_err()
            .contains("no request")
        );
        let all_failed = judge(
            &test(),
            &Measured {
                failed: 6000,
                p99_us: 0,
                ..measured()
            },
        )
        .unwrap_err();
        assert!(!all_failed.contains("p99 is"), "{all_failed}");
    }
}
