//! One measurement, and what it comes to.

use std::fmt;

use jiff::Timestamp;

use super::condition::Unanswered;
use super::verdict::Verdict;
use crate::spec::Metric;

/// One measurement of a metric, with all that it was judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// When there was an answer.
    pub at: Timestamp,
    /// What was asked, with everything filled in.
    pub query: String,
    /// What came back: one number or several, and none where there is no data.
    pub values: Vec<f64>,
    /// What it was held against.
    pub threshold: String,
    /// What it comes to.
    pub verdict: Verdict,
    /// Why it is neither a pass nor a fail; else empty.
    pub message: String,
}

const LONGEST_MESSAGE: usize = 1000;

impl Measurement {
    /// Holds what came back against the metric's conditions. `answer` is the measured numbers, or why there are none:
    /// the query was refused, nobody answered, the container could not be started.
    #[must_use]
    pub fn of(
        metric: &Metric,
        query: impl Into<String>,
        answer: Result<Vec<f64>, String>,
        at: Timestamp,
    ) -> Self {
        let (values, (verdict, message)) = match answer {
            Ok(values) => {
                let judged = judge(metric, &values);
                (values, judged)
            }
            Err(message) => (Vec::new(), (Verdict::Error, message)),
        };
        Self {
            at,
            query: query.into(),
            values,
            threshold: threshold(metric),
            verdict,
            message: message.chars().take(LONGEST_MESSAGE).collect(),
        }
    }
}

fn judge(metric: &Metric, values: &[f64]) -> (Verdict, String) {
    let holds = |condition: &Option<_>| {
        let condition: Option<&super::condition::Condition> = condition.as_ref();
        condition.map(|c| c.holds(values)).transpose()
    };
    let plain = |verdict| (verdict, String::new());
    match (holds(&metric.fail), holds(&metric.pass)) {
        (Err(why), _) | (_, Err(why)) => match why {
            Unanswered::NoData => (Verdict::NoData, why.to_string()),
            Unanswered::OutOfRange { .. } | Unanswered::Ambiguous { .. } => {
                (Verdict::Error, why.to_string())
            }
        },
        (Ok(Some(true)), _) | (Ok(None), Ok(Some(false))) => plain(Verdict::Fail),
        (Ok(Some(false)), Ok(None)) | (Ok(_), Ok(Some(true))) => plain(Verdict::Pass),
        (Ok(Some(false)), Ok(Some(false))) => (
            Verdict::Inconclusive,
            "neither `pass` nor `fail` holds".to_owned(),
        ),
        // No file says so: a metric without a condition is refused when it is read.
        (Ok(None), Ok(None)) => (
            Verdict::Error,
            "the metric has neither `pass` nor `fail`".to_owned(),
        ),
    }
}

fn threshold(metric: &Metric) -> String {
    let sides = [("pass", &metric.pass), ("fail", &metric.fail)];
    let told = sides
        .into_iter()
        .filter_map(|(name, condition)| Some(format!("{name}: {}", condition.as_ref()?)));
    told.collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        match self.values.as_slice() {
            [] => {}
            [value] => write!(f, ", result = {value}")?,
            values => write!(f, ", result = {values:?}")?,
        }
        if !self.message.is_empty() {
            write!(f, ", {}", self.message)?;
        }
        write!(f, " ({})", self.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Provider;

    fn measured(pass: &str, fail: &str, values: &[f64]) -> Measurement {
        let condition = |text: &str| (!text.is_empty()).then(|| text.parse().expect(text));
        let mut metric = Metric::new("success", Provider::Pods);
        metric.pass = condition(pass);
        metric.fail = condition(fail);
        Measurement::of(&metric, "up", Ok(values.to_vec()), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn with_only_pass_everything_else_fails() {
        assert_eq!(measured("result >= 1", "", &[1.0]).verdict, Verdict::Pass);
        assert_eq!(measured("result >= 1", "", &[0.9]).verdict, Verdict::Fail);
    }

    #[test]
    fn with_only_fail_everything_else_passes() {
        assert_eq!(measured("", "result > 1", &[1.0]).verdict, Verdict::Pass);
        assert_eq!(measured("", "result > 1", &[1.1]).verdict, Verdict::Fail);
    }

    #[test]
    fn with_both_neither_is_inconclusive_and_fail_wins() {
        let both = |value| measured("result >= 0.9", "result < 0.5", &[value]).verdict;
        assert_eq!(both(0.95), Verdict::Pass);
        assert_eq!(both(0.7), Verdict::Inconclusive);
        assert_eq!(both(0.4), Verdict::Fail);
        assert_eq!(
            measured("result > 0", "result > 0", &[1.0]).verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn nothing_is_no_data_whatever_the_condition_says() {
        for (pass, fail) in [
            ("result == 0", ""),
            ("", "result > 1"),
            ("", "result != 1"),
            ("result < 1", "result > 2"),
        ] {
            assert_eq!(measured(pass, fail, &[]).verdict, Verdict::NoData);
            assert_eq!(measured(pass, fail, &[f64::NAN]).verdict, Verdict::NoData);
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_an_error() {
        let measurement = measured("result < 1", "", &[1.0, 2.0]);
        assert_eq!(measurement.verdict, Verdict::Error);
        assert_eq!(
            measurement.to_string(),
            "error, result = [1.0, 2.0], 2 values were measured: write `result[0]` for the first of them (pass: result < 1)"
        );
        assert_eq!(
            measured("", "", &[1.0]).verdict,
            Verdict::Error,
            "no condition is not a pass"
        );
    }

    #[test]
    fn a_query_that_was_not_answered_is_an_error_that_says_why() {
        let metric = Metric::new("success", Provider::Pods);
        let answer = Err("connection refused ".repeat(1000));
        let measurement = Measurement::of(&metric, "up", answer, Timestamp::UNIX_EPOCH);
        assert_eq!(measurement.verdict, Verdict::Error);
        assert!(measurement.message.starts_with("connection refused"));
        assert_eq!(measurement.message.len(), 1000);
    }

    #[test]
    fn a_measurement_tells_what_it_was_judged_by() {
        let measurement = measured("result >= 0.99", "result < 0.95", &[0.97]);
        assert_eq!(
            measurement.to_string(),
            "inconclusive, result = 0.97, neither `pass` nor `fail` holds (pass: result >= 0.99; fail: result < 0.95)"
        );
    }
}
