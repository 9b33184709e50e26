//! How an environment moves from one release to the next.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::analysis::Analysis;
use super::traffic::{Sticky, Testers, TrafficRouter};
use super::units::{InvalidUnit, Percent, TimeSpan, text_form};

/// A way to move from one release to the next. Also just its name, such as `strategy: rolling`, for its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = allow_names)]
pub enum Strategy {
    /// In batches, each ready before the next.
    Rolling(Rolling),
    /// A whole new set beside the old, then all traffic at once.
    BlueGreen(BlueGreen),
    /// Little traffic first, more when it stays healthy.
    Canary(Canary),
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Rolling(Rolling::default())
    }
}

fn allow_names(schema: &mut Schema) {
    if let Some(serde_json::Value::Array(forms)) = schema.get_mut("oneOf") {
        forms.push(serde_json::json!({ "enum": ["rolling", "blue_green", "canary"] }));
    }
}

/// Batches of a rolling update. One of the two must be more than 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Rolling {
    /// How many replicas there may be above the wanted number.
    pub max_surge: Batch,
    /// How many replicas may be missing from the wanted number.
    pub max_unavailable: Batch,
    /// How long a new replica must stay ready before it counts; on Kubernetes targets. Absent: two seconds,
    /// until every node knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready: Option<TimeSpan>,
}

impl Default for Rolling {
    fn default() -> Self {
        Self {
            max_surge: Batch::Count(1),
            max_unavailable: Batch::Count(0),
            min_ready: None,
        }
    }
}

/// A number of replicas, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Batch {
    /// So many.
    Count(u32),
    /// A share of the wanted number.
    Share(Percent),
}

impl Batch {
    /// The number of replicas out of `replicas`; a share is rounded up.
    #[must_use]
    pub fn of(self, replicas: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => {
                let parts = u64::from(replicas) * u64::from(share.parts_per_million());
                u32::try_from(parts.div_ceil(1_000_000)).unwrap_or(u32::MAX)
            }
        }
    }
}

/// A blue-green switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct BlueGreen {
    /// How long the new set is watched after the switch before the rollout counts as done.
    pub monitor: TimeSpan,
    /// How long the old set is kept after that, to switch back at once.
    pub keep_old: TimeSpan,
    /// What is watched. Absent: only whether the replicas stay ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// What becomes of a rollout that fails.
    #[serde(skip_serializing_if = "OnFailure::is_rollback")]
    pub on_failure: OnFailure,
}

impl Default for BlueGreen {
    fn default() -> Self {
        Self {
            monitor: TimeSpan::from_secs(60),
            keep_old: TimeSpan::from_secs(600),
            analysis: None,
            on_failure: OnFailure::default(),
        }
    }
}

/// A canary: its steps, and what is watched while they last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Canary {
    /// The steps. Weights grow and end with `100%`.
    pub steps: Vec<CanaryStep>,
    /// What is watched. Absent: only whether the replicas stay ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// What becomes of a rollout that fails.
    #[serde(skip_serializing_if = "OnFailure::is_rollback")]
    pub on_failure: OnFailure,
    /// What splits the traffic on a Kubernetes target. Absent: the numbers of replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<Box<TrafficRouter>>,
    /// Requests that go to the new version whatever its share is. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub testers: Option<Testers>,
    /// How clients stay with the version that served them. Absent: they don't, each request goes by the share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}

impl Default for Canary {
    fn default() -> Self {
        let bake = CanaryStep::Bake(TimeSpan::from_secs(120));
        Self {
            steps: vec![
                CanaryStep::Weight(Percent::of(10)),
                bake,
                CanaryStep::Weight(Percent::of(50)),
                bake,
                CanaryStep::Weight(Percent::ALL),
            ],
            analysis: None,
            on_failure: OnFailure::default(),
            router: None,
            testers: None,
            sticky: None,
        }
    }
}

/// What becomes of a rollout that fails: it crashes, makes no progress, or its analysis fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is taken back.
    #[default]
    Rollback,
    /// It stays as it is, and waits for a person.
    Hold,
}

impl OnFailure {
    /// It is taken back.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        *self == Self::Rollback
    }
}

impl FromStr for OnFailure {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        match text {
            "rollback" => Ok(Self::Rollback),
            "hold" => Ok(Self::Hold),
            _ => Err(InvalidUnit {
                kind: "an answer to failure",
                text: text.chars().take(80).collect(),
                form: "`rollback`, which takes it back, or `hold`, which waits for a person",
            }),
        }
    }
}

/// One step of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryStep {
    /// `25%`: this share of the traffic goes to the new version.
    Weight(Percent),
    /// `bake 2m`: wait and watch.
    Bake(TimeSpan),
    /// `analyse`: go on when the analysis has passed.
    Analyse,
    /// `pause`: go on when a person says so.
    Pause,
}

impl FromStr for CanaryStep {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        match text {
            "pause" => Ok(Self::Pause),
            "analyse" => Ok(Self::Analyse),
            _ => match text.strip_prefix("bake ") {
                Some(time) => time.trim().parse().map(Self::Bake),
                None => text.parse().map(Self::Weight).map_err(|error| InvalidUnit {
                    kind: "a step of a canary",
                    form: "a weight such as `25%`, `bake 2m`, `analyse` or `pause`",
                    ..error
                }),
            },
        }
    }
}

impl fmt::Display for CanaryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weight(weight) => weight.fmt(f),
            Self::Bake(time) => write!(f, "bake {time}"),
            Self::Analyse => f.write_str("analyse"),
            Self::Pause => f.write_str("pause"),
        }
    }
}

text_form!(
    CanaryStep,
    json_schema!({
        "type": "string",
        "pattern": r"^([\d.]+ *%|bake +[\ddhms]+|analyse|pause)$",
        "description": "A weight such as `25%`, `bake 2m`, `analyse`, or `pause` for a person to go on."
    })
);
