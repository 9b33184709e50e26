//! What a strategy means, step by step.

use std::fmt;

pub use crate::spec::OnFailure;
use crate::spec::{Batch, CanaryStep, Percent, Rolling, Strategy, TimeSpan};

/// One step of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The first version of all comes up and takes all the traffic.
    BringUp,
    /// Replicas are replaced in batches, until all the traffic goes to the new ones.
    Roll {
        /// How many replicas there may be above the wanted number.
        max_surge: Batch,
        /// How many replicas may be missing from the wanted number.
        max_unavailable: Batch,
    },
    /// This share of the traffic goes to the new version.
    Weight(Percent),
    /// The traffic stays as it is for so long, and is watched.
    Bake(TimeSpan),
    /// Waits until the analysis has passed.
    Analyse,
    /// Waits for a person.
    Pause,
    /// A whole new set comes up beside the old one, and answers at the preview address.
    Preview,
    /// Waits until what is checked at the preview address has passed.
    Validate,
    /// All the traffic goes to the new set, at once.
    Switch,
    /// The new set has all the traffic, and is watched for so long. The old one stays beside it.
    Monitor(TimeSpan),
    /// The old set gets no new requests: those under way end, and it is removed.
    Retire,
    /// The rollout is complete; the old set stays for so long, to go back to it at once.
    KeepOld(TimeSpan),
}

/// What there is when a rollout begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing.
    Nothing,
    /// The version before.
    Older,
    /// A version that somebody takes back: there is no time for steps.
    TakenBack,
}

/// A whole rollout, as it is decided when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
    /// Whether bake and monitor times end only with a verdict, besides the time.
    pub is_analysed: bool,
    /// What becomes of it when it fails.
    pub on_failure: OnFailure,
}

impl Default for Plan {
    /// A rolling update of one replica after the other.
    fn default() -> Self {
        Self::compile(&Strategy::default(), Beginning::Older)
    }
}

impl Plan {
    /// The steps that a strategy means.
    #[must_use]
    pub fn compile(strategy: &Strategy, beginning: Beginning) -> Self {
        let (is_analysed, on_failure) = match strategy {
            Strategy::Rolling(_) => (false, OnFailure::default()),
            Strategy::BlueGreen(blue_green) => {
                (blue_green.analysis.is_some(), blue_green.on_failure)
            }
            Strategy::Canary(canary) => (canary.analysis.is_some(), canary.on_failure),
        };
        let is_older = beginning == Beginning::Older;
        Self {
            steps: compile(strategy, beginning),
            is_analysed: is_analysed && is_older,
            on_failure: if is_older {
                on_failure
            } else {
                OnFailure::default()
            },
        }
    }

    /// The same, with another answer to failure.
    #[must_use]
    pub fn on_failure(self, on_failure: OnFailure) -> Self {
        Self { on_failure, ..self }
    }

    /// Whether the traffic is either with the old set or with the new one, and never with both.
    #[must_use]
    pub fn is_all_at_once(&self) -> bool {
        self.steps.contains(&Step::Switch)
    }

    /// The share of the traffic that the new version has at the end of a step.
    #[must_use]
    pub fn weight_at(&self, index: usize) -> Percent {
        self.mover(index)
            .map_or(Percent::ZERO, |mover| match self.steps[mover] {
                Step::Weight(weight) => weight,
                _ => Percent::ALL,
            })
    }

    /// The share that it had when the step before ended.
    #[must_use]
    pub fn weight_before(&self, index: usize) -> Percent {
        index
            .checked_sub(1)
            .map_or(Percent::ZERO, |before| self.weight_at(before))
    }

    /// The step that gave the traffic the share that it has in a step.
    #[must_use]
    pub fn mover(&self, index: usize) -> Option<usize> {
        let until = self.steps.len().min(index.saturating_add(1));
        self.steps[..until].iter().rposition(|s| s.moves_traffic())
    }

    /// The step that gives the new version all the traffic.
    #[must_use]
    pub fn last_mover(&self) -> usize {
        self.mover(self.steps.len()).unwrap_or(0)
    }

    /// How long the old set stays after the end.
    #[must_use]
    pub fn keeps_old(&self) -> Option<TimeSpan> {
        self.steps.iter().find_map(|step| match step {
            Step::KeepOld(time) => Some(*time),
            _ => None,
        })
    }

    /// `step 2 of 5 (bake 2m)`.
    #[must_use]
    pub fn name_of(&self, index: usize) -> String {
        let of = self.steps.len();
        match self.steps.get(index) {
            Some(step) => format!("step {} of {of} ({step})", index + 1),
            None => format!("the end of {of} steps"),
        }
    }
}

fn compile(strategy: &Strategy, beginning: Beginning) -> Vec<Step> {
    if beginning == Beginning::Nothing {
        return vec![Step::BringUp];
    }
    match (strategy, beginning) {
        (Strategy::Rolling(rolling), _) => vec![roll(rolling)],
        (Strategy::BlueGreen(_), Beginning::TakenBack) => vec![Step::Switch, Step::Retire],
        (Strategy::BlueGreen(blue_green), _) => {
            let validate = blue_green.analysis.as_ref().map(|_| Step::Validate);
            let monitor = Some(blue_green.monitor)
                .filter(|time| !time.get().is_zero())
                .map(Step::Monitor);
            let last = match blue_green.keep_old {
                time if time.get().is_zero() => Step::Retire,
                time => Step::KeepOld(time),
            };
            [Some(Step::Preview), validate, Some(Step::Switch), monitor]
                .into_iter()
                .flatten()
                .chain([last])
                .collect()
        }
        (Strategy::Canary(_), Beginning::TakenBack) => {
            vec![Step::Weight(Percent::ALL), Step::Retire]
        }
        (Strategy::Canary(canary), _) => {
            let mut steps: Vec<Step> = canary.steps.iter().map(|step| Step::from(*step)).collect();
            if steps.iter().rfind(|s| s.moves_traffic()) != Some(&Step::Weight(Percent::ALL)) {
                steps.push(Step::Weight(Percent::ALL));
            }
            steps.push(Step::Retire);
            steps
        }
    }
}

fn roll(rolling: &Rolling) -> Step {
    Step::Roll {
        max_surge: rolling.max_surge,
        max_unavailable: rolling.max_unavailable,
    }
}

impl Step {
    /// Whether it gives the new version another share of the traffic.
    #[must_use]
    pub fn moves_traffic(self) -> bool {
        matches!(
            self,
            Self::BringUp | Self::Roll { .. } | Self::Weight(_) | Self::Switch
        )
    }

    /// Whether it waits for time, a verdict or a person, and not for replicas or traffic.
    #[must_use]
    pub fn waits(self) -> bool {
        match self {
            Self::Bake(_) | Self::Analyse | Self::Pause | Self::Validate | Self::Monitor(_) => true,
            Self::BringUp
            | Self::Roll { .. }
            | Self::Weight(_)
            | Self::Preview
            | Self::Switch
            | Self::Retire
            | Self::KeepOld(_) => false,
        }
    }
}

impl From<CanaryStep> for Step {
    fn from(step: CanaryStep) -> Self {
        match step {
            CanaryStep::Weight(weight) => Self::Weight(weight),
            CanaryStep::Bake(time) => Self::Bake(time),
            CanaryStep::Analyse => Self::Analyse,
            CanaryStep::Pause => Self::Pause,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BringUp => f.write_str("bring up"),
            Self::Roll { .. } => f.write_str("roll"),
            Self::Weight(weight) => weight.fmt(f),
            Self::Bake(time) => write!(f, "bake {time}"),
            Self::Analyse => f.write_str("analyse"),
            Self::Pause => f.write_str("pause"),
            Self::Preview => f.write_str("preview"),
            Self::Validate => f.write_str("validate"),
            Self::Switch => f.write_str("switch"),
            Self::Monitor(time) => write!(f, "monitor {time}"),
            Self::Retire => f.write_str("retire"),
            Self::KeepOld(time) => write!(f, "keep old {time}"),
        }
    }
}

#[cfg(test)]
mod tests;
