//! What is watched while a new version takes traffic.

mod access;
mod load;
mod metric;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::units::{InvalidUnit, Percent, TimeSpan, text_form};

pub use access::Access;
pub(super) use load::MOST as MOST_LOAD;
pub use load::SyntheticLoad;
pub use metric::{ContainerQuery, HttpQuery, Limit, Metric, PrometheusQuery, Provider};

/// What is watched while a new version takes traffic.
///
/// Without `metrics` it is the router's own counts of requests: those of the new version against those of the one that
/// runs beside it at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Analysis {
    /// Failed requests, against those of the version that runs beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorAnalysis>,
    /// Slow requests, against those of the version that runs beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyAnalysis>,
    /// Of rollouts of versions that are as good as the old one, at most this share is aborted by `errors` and `latency`
    /// together, however long and often they look. From `0.01%` to `20%`.
    pub false_aborts: Percent,
    /// With fewer requests to the new version `errors` and `latency` do not let a step end.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub min_samples: u32,
    /// How long a step is prolonged for lack of requests or of data. After that the analysis is inconclusive, and a
    /// person decides.
    pub wait_for_samples: TimeSpan,
    /// Requests that the deployer sends itself. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<SyntheticLoad>,
    /// What else is measured, and what it must be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            errors: None,
            latency: None,
            false_aborts: Percent::of(1),
            min_samples: 100,
            wait_for_samples: TimeSpan::from_secs(600),
            load: None,
            metrics: Vec::new(),
        }
    }
}

impl Analysis {
    /// The comparisons that need somebody who counts the requests to each version: `errors`, `latency`.
    #[must_use]
    pub fn comparisons(&self) -> Vec<&'static str> {
        let errors = self.errors.is_some().then_some("errors");
        let latency = self.latency.is_some().then_some("latency");
        errors.into_iter().chain(latency).collect()
    }

    /// The bound on false aborts of each of the comparisons, from 0 to 1: they share `false_aborts`.
    #[must_use]
    pub fn false_aborts_each(&self) -> f64 {
        self.false_aborts.fraction() / self.comparisons().len().max(1) as f64
    }
}

/// Limits on failed requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ErrorAnalysis {
    /// How much larger the new version's share of failed requests may be: `1%` allows 2 % where the old one has 1 %.
    pub max_increase: Percent,
}

/// Limits on slow requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LatencyAnalysis {
    /// Which latency is compared: `p99` is the one that 99 of 100 requests do not exceed.
    #[serde(default)]
    pub quantile: Quantile,
    /// How much longer it may be: `20%` allows 120 ms where the old version has 100 ms.
    pub max_increase: Percent,
}

/// A quantile, more than `p0` and less than `p100`, exact to four decimals: `p50`, `p99`, `p99.9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantile(Percent);

impl Quantile {
    /// More than 0 and less than 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.0.fraction()
    }
}

impl Default for Quantile {
    /// `p99`.
    fn default() -> Self {
        Self(Percent::of(99))
    }
}

impl FromStr for Quantile {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        text.strip_prefix('p')
            .filter(|number| !number.ends_with(' '))
            .and_then(|number| format!("{number}%").parse().ok())
            .filter(|share| (Percent::of(0) < *share) && (*share < Percent::ALL))
            .map(Self)
            .ok_or_else(|| InvalidUnit {
                kind: "a quantile",
                text: text.chars().take(80).collect(),
                form: "`p` and a number between 0 and 100, such as `p50`, `p99` or `p99.9`",
            })
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0.to_string().trim_end_matches('%'))
    }
}

text_form!(
    Quantile,
    json_schema!({
        "type": "string",
        "pattern": r"^p\d{1,2}(\.\d{1,4})?$",
        "description": "The latency that so many of 100 requests do not exceed: `p50`, `p99`, `p99.9`."
    })
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_read_as_people_write_them() {
        for (text, fraction) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let parsed: Quantile = text.parse().expect(text);
            assert!((parsed.fraction() - fraction).abs() < 1e-12);
            assert_eq!(parsed.to_string(), text);
        }
        for bad in [
            "",
            "p",
            "99",
            "99%",
            "p0",
            "p100",
            "p-1",
            "p99 ",
            "P99",
            "p99.99999",
        ] {
            assert!(bad.parse::<Quantile>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_kept_before_there_were_more_keys_still_reads() {
        let kept = r#"{"errors":{"max_increase":"1%"}}"#;
        let analysis: Analysis = serde_json::from_str(kept).expect("every other key has a default");
        assert_eq!(analysis.min_samples, 100);
        assert!((analysis.false_aborts_each() - 0.01).abs() < 1e-12);
        assert_eq!(analysis.latency, None);
    }

    #[test]
    fn two_comparisons_share_the_bound_on_false_aborts() {
        let text = r#"{"errors":{"max_increase":"1%"},"latency":{"max_increase":"20%"},"false_aborts":"5%"}"#;
        let analysis: Analysis = serde_json::from_str(text).expect("an analysis");
        assert!((analysis.false_aborts_each() - 0.025).abs() < 1e-12);
        assert_eq!(
            analysis.latency.expect("latency").quantile,
            Quantile::default()
        );
    }
}
