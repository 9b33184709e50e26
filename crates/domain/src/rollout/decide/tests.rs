mod back;
mod forward;

use super::*;
use crate::rollout::{Act, Beginning, OnFailure, Plan, Verdict};
use crate::run::Actor;
use crate::spec::{Analysis, BlueGreen, Canary, Rolling, Strategy};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

fn canary(steps: &[&str]) -> Plan {
    let strategy = Strategy::Canary(Canary {
        steps: steps.iter().map(|s| s.parse().unwrap()).collect(),
        ..Canary::default()
    });
    Plan::compile(&strategy, Beginning::Older)
}

fn analysed(steps: &[&str]) -> Plan {
    Plan {
        is_analysed: true,
        ..canary(steps)
    }
}

fn blue_green() -> Plan {
    let strategy = Strategy::BlueGreen(BlueGreen {
        analysis: Some(Analysis::default()),
        ..BlueGreen::default()
    });
    Plan::compile(&strategy, Beginning::Older)
}

fn rolling() -> Plan {
    Plan::compile(&Strategy::Rolling(Rolling::default()), Beginning::Older)
}

/// A rollout of ten replicas over ten others, which has come to a step at second 0.
struct Bed {
    progress: Progress,
    terms: Terms,
    seen: Observed,
}

impl Bed {
    fn new(plan: Plan, index: u32) -> Self {
        let progress = Progress::new(plan, at(0)).apply(Act::StepEntered { index }, at(0));
        let terms = Terms {
            replicas: 10,
            stable_replicas: 10,
            router: Router::Exact,
            deadline: TimeSpan::from_secs(120),
            drain: TimeSpan::from_secs(10),
            patience: TimeSpan::from_secs(300),
        };
        let seen = Observed {
            stable: set(10, 10),
            candidate: set(0, 0),
            failed: None,
            weight: Percent::ZERO,
            advanced_at: at(0),
        };
        Self {
            progress,
            terms,
            seen,
        }
    }

    fn by_replicas(mut self) -> Self {
        self.terms.router = Router::ByReplicas;
        self
    }

    fn sees(mut self, stable: (u32, u32), candidate: (u32, u32), weight: &str) -> Self {
        self.seen.stable = set(stable.0, stable.1);
        self.seen.candidate = set(candidate.0, candidate.1);
        self.seen.weight = percent(weight);
        self
    }

    fn does(mut self, act: Act, seconds: i64) -> Self {
        self.progress = self.progress.apply(act, at(seconds));
        self
    }

    fn judged(self, verdict: Verdict, seconds: i64) -> Self {
        let index = u32::try_from(self.progress.index).unwrap();
        let act = Act::Judged {
            index,
            verdict,
            evidence: Vec::new(),
        };
        self.does(act, seconds)
    }

    fn aborted(self, seconds: i64) -> Self {
        let act = Act::AbortRequested {
            by: Some(somebody()),
            reason: "it is slow".to_owned(),
        };
        self.does(act, seconds)
    }

    fn decides(&self, seconds: i64) -> Decision {
        decide(&self.progress, &self.seen, &self.terms, at(seconds))
    }

    fn next(&self, seconds: i64) -> Next {
        self.decides(seconds).next
    }

    /// Sizes and weight, as `stable/candidate weight`.
    fn brings(&self, seconds: i64) -> String {
        let Decision { sizes, weight, .. } = self.decides(seconds);
        format!("{}/{} {weight}", sizes.stable, sizes.candidate)
    }
}

fn set(total: u32, ready: u32) -> Set {
    Set {
        total,
        ready,
        is_idle: true,
    }
}

fn somebody() -> Actor {
    Actor("ada".to_owned())
}

fn paused() -> Act {
    Act::Paused {
        by: Some(somebody()),
        reason: "lunch".to_owned(),
    }
}

fn promoted(full: bool) -> Act {
    Act::Promoted {
        by: somebody(),
        full,
    }
}

fn stays(next: &Next) -> bool {
    matches!(next, Next::Stay { .. })
}
