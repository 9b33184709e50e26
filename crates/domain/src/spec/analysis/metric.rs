//! What else is measured: any number with a condition.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Access, TimeSpan};
use crate::analysis::condition::Condition;
use crate::analysis::json_path::JsonPath;
use crate::spec::Resources;
use crate::spec::schema::OneOrMany;

/// Something that is measured while a new version takes traffic, and what it must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "MetricForm", into = "MetricForm")]
pub struct Metric {
    /// Its name, for people.
    pub name: String,
    /// Where the number comes from.
    pub provider: Provider,
    /// A measurement for which this holds is a success; without `fail`, every other one is a failure.
    pub pass: Option<Condition>,
    /// A measurement for which this holds is a failure; without `pass`, every other one is a success.
    pub fail: Option<Condition>,
    /// From one measurement to the next. Absent: one measurement.
    pub interval: Option<TimeSpan>,
    /// After how many measurements it ends. Absent: one, and with `interval` when the rollout ends.
    pub count: Option<u32>,
    /// How long to wait before the first measurement.
    pub initial_delay: Option<TimeSpan>,
    /// With which step of the rollout, counted from 1, the measurements begin. Absent: with the first.
    pub starting_step: Option<u32>,
    /// How many measurements may fail.
    pub failure_limit: Limit,
    /// How many measurements may be inconclusive.
    pub inconclusive_limit: Limit,
    /// How many measurements in a row may be impossible.
    pub consecutive_error_limit: Limit,
    /// So many successes in a row are enough. Absent: they are not.
    pub consecutive_success_limit: Option<u32>,
    /// It is only measured and shown, and changes nothing.
    pub dry_run: bool,
}

impl Metric {
    /// A metric with the defaults of every key.
    #[must_use]
    pub fn new(name: &str, provider: Provider) -> Self {
        Self {
            name: name.to_owned(),
            provider,
            pass: None,
            fail: None,
            interval: None,
            count: None,
            initial_delay: None,
            starting_step: None,
            failure_limit: Limit::AtMost(0),
            inconclusive_limit: Limit::AtMost(0),
            consecutive_error_limit: default_error_limit(),
            consecutive_success_limit: None,
            dry_run: false,
        }
    }

    /// After how many measurements it ends: `None` is when the rollout ends.
    #[must_use]
    pub fn effective_count(&self) -> Option<u32> {
        match (self.count, self.interval) {
            (None, Some(_)) => None,
            (count, _) => Some(count.unwrap_or(1)),
        }
    }
}

impl JsonSchema for Metric {
    fn schema_name() -> Cow<'static, str> {
        MetricForm::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        MetricForm::json_schema(generator)
    }
}

/// Where a number comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Provider {
    /// A query of a Prometheus server. No series, or not a number, is no data.
    Prometheus(PrometheusQuery),
    /// An answer over HTTP.
    Http(HttpQuery),
    /// A container that runs to its end: the number is its exit code.
    Container(ContainerQuery),
    /// The replicas of the new version: the number is how many of them are not healthy.
    Pods,
}

impl Provider {
    /// A run to the end and healthy replicas need no condition of the writer's: they have one of their own.
    #[must_use]
    pub fn own_condition(&self) -> Option<Condition> {
        match self {
            Self::Container(_) | Self::Pods => {
                Some("result == 0".parse().expect("this is a condition"))
            }
            Self::Prometheus(_) | Self::Http(_) => None,
        }
    }
}

/// A query of a Prometheus server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PrometheusQuery {
    /// The query, with `{{service}}`, `{{environment}}`, `{{version}}`, `{{stable}}` and `{{address}}` filled in.
    pub query: String,
    /// The server, such as `http://prometheus:9090`.
    #[schemars(regex(pattern = "^https?://"))]
    pub address: String,
    /// How the server lets the query in. Absent: it asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Access>,
}

/// A request over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HttpQuery {
    /// What is asked, with `{{service}}`, `{{environment}}`, `{{version}}`, `{{stable}}` and `{{address}}` filled in.
    pub url: String,
    /// Where in the JSON of the answer the number is: `$.ratio`; true counts as 1, false as 0. Absent: the status of
    /// the answer is the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_path: Option<JsonPath>,
    /// How long the answer may take. Absent: ten seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// How the endpoint lets the request in. Absent: it asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Access>,
}

/// A container that runs to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ContainerQuery {
    /// Its image.
    pub image: String,
    /// Shell command lines, run one after the other until one fails; `SLIPWAY_SERVICE`, `SLIPWAY_ENVIRONMENT`,
    /// `SLIPWAY_VERSION`, `SLIPWAY_STABLE` and `SLIPWAY_ADDRESS` are set.
    #[schemars(with = "OneOrMany")]
    pub run: Vec<String>,
    /// How long it may take. Absent: five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
}

/// How many measurements may end so: one more, and the metric is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Limit {
    /// So many.
    AtMost(u32),
    /// Any number.
    Unlimited(Unlimited),
}

/// The word `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlimited {
    /// Any number.
    Unlimited,
}

impl Limit {
    /// Any number.
    pub const UNLIMITED: Self = Self::Unlimited(Unlimited::Unlimited);

    /// Whether `count` is more than may be: a limit of 3 tolerates three.
    #[must_use]
    pub fn is_exceeded_by(self, count: u32) -> bool {
        match self {
            Self::AtMost(limit) => count > limit,
            Self::Unlimited(_) => false,
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::AtMost(0)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 1_000_000 }, { "enum": ["unlimited"] }],
            "description": "So many are tolerated, one more is not; or `unlimited`."
        })
    }
}

fn default_error_limit() -> Limit {
    Limit::AtMost(4)
}

/// Something that is measured while a new version takes traffic, and what it must be: exactly one of `prometheus`,
/// `http`, `container` and `pods`, and `pass` or `fail` or both.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Metric")]
struct MetricForm {
    /// Its name, for people. Each has another.
    name: String,
    /// A query of a Prometheus server. No series, or not a number, is no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prometheus: Option<PrometheusQuery>,
    /// An answer over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http: Option<HttpQuery>,
    /// A container that runs to its end: the number is its exit code. Without `pass` and `fail`, 0 is a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<ContainerQuery>,
    /// The replicas of the new version: the number is how many of them are not healthy. Without `pass` and `fail`, 0 is
    /// a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pods: Option<PodsForm>,
    /// A measurement for which this holds is a success; without `fail`, every other one is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pass: Option<Condition>,
    /// A measurement for which this holds is a failure, also where `pass` holds; without `pass`, every other one is a
    /// success. With both, a measurement for which neither holds is inconclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fail: Option<Condition>,
    /// From one measurement to the next. Absent: one measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<TimeSpan>,
    /// After how many measurements it ends. Absent: one, and with `interval` when the rollout ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    count: Option<u32>,
    /// How long to wait before the first measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    initial_delay: Option<TimeSpan>,
    /// With which step of the rollout, counted from 1, the measurements begin. Absent: with the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    starting_step: Option<u32>,
    /// How many measurements may fail; one more, and the rollout is aborted.
    #[serde(default)]
    failure_limit: Limit,
    /// How many measurements may be inconclusive; one more, and a person decides.
    #[serde(default)]
    inconclusive_limit: Limit,
    /// How many measurements in a row may be impossible; one more, and the rollout is aborted.
    #[serde(default = "default_error_limit")]
    consecutive_error_limit: Limit,
    /// So many successes in a row are enough. Absent: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    consecutive_success_limit: Option<u32>,
    /// It is only measured and shown, and changes nothing.
    #[serde(default)]
    dry_run: bool,
}

/// There is nothing to say about replicas.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Pods")]
struct PodsForm {}

impl TryFrom<MetricForm> for Metric {
    type Error = &'static str;
    fn try_from(form: MetricForm) -> Result<Self, Self::Error> {
        let provider = match (form.prometheus, form.http, form.container, form.pods) {
            (Some(query), None, None, None) => Provider::Prometheus(query),
            (None, Some(query), None, None) => Provider::Http(query),
            (None, None, Some(query), None) => Provider::Container(query),
            (None, None, None, Some(_)) => Provider::Pods,
            _ => {
                return Err(
                    "a metric needs exactly one of `prometheus`, `http`, `container` and `pods`",
                );
            }
        };
        let own = provider.own_condition().filter(|_| form.fail.is_none());
        let pass = form.pass.or(own);
        if pass.is_none() && form.fail.is_none() {
            return Err("a metric needs `pass` or `fail`");
        }
        Ok(Self {
            name: form.name,
            provider,
            pass,
            fail: form.fail,
            interval: form.interval,
            count: form.count,
            initial_delay: form.initial_delay,
            starting_step: form.starting_step,
            failure_limit: form.failure_limit,
            inconclusive_limit: form.inconclusive_limit,
            consecutive_error_limit: form.consecutive_error_limit,
            consecutive_success_limit: form.consecutive_success_limit,
            dry_run: form.dry_run,
        })
    }
}

impl From<Metric> for MetricForm {
    fn from(metric: Metric) -> Self {
        let mut form = Self {
            name: metric.name,
            prometheus: None,
            http: None,
            container: None,
            pods: None,
            pass: metric.pass,
            fail: metric.fail,
            interval: metric.interval,
            count: metric.count,
            initial_delay: metric.initial_delay,
            starting_step: metric.starting_step,
            failure_limit: metric.failure_limit,
            inconclusive_limit: metric.inconclusive_limit,
            consecutive_error_limit: metric.consecutive_error_limit,
            consecutive_success_limit: metric.consecutive_success_limit,
            dry_run: metric.dry_run,
        };
        match metric.provider {
            Provider::Prometheus(query) => form.prometheus = Some(query),
            Provider::Http(query) => form.http = Some(query),
            Provider::Container(query) => form.container = Some(query),
            Provider::Pods => form.pods = Some(PodsForm {}),
        }
        form
    }
}
