//! A simulated target, and the deployer that drives a rollout on it. The deployer is a new one at each look: it knows
//! only the events.

use domain::rollout::{
    Act, Decision, Event, Next, Observed, Progress, Rollouts, Router, Set, Step, Terms, Verdict,
    decide,
};
use domain::run::Actor;
use domain::spec::{Percent, TimeSpan};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::checks;
use crate::inputs::{Beginning, Case, Outlook, Request, Tick};

const SECONDS_OF_A_CALM_LOOK: i64 = 10;

pub(crate) struct World {
    events: Vec<Event>,
    pub(crate) terms: Terms,
    pub(crate) stable: Set,
    pub(crate) candidate: Set,
    pub(crate) failed: bool,
    /// What was set at the router.
    weight: Percent,
    is_coarse: bool,
    is_rolling: bool,
    now: Timestamp,
    /// How often a person was asked.
    asked: u32,
    /// What the deployer that looks now remembers: the most ready replicas of the version that is to come up, and since
    /// when.
    most_ready: (bool, u32, Timestamp),
}

impl World {
    pub(crate) fn new(case: &Case) -> Self {
        let Beginning {
            plan,
            replicas,
            stable_replicas,
            router,
            is_coarse,
        } = case.beginning.clone();
        let moves = |step: &Step| matches!(step, Step::Roll { .. } | Step::BringUp);
        let is_rolling = plan.steps.iter().any(moves)
            || (router == Router::ByReplicas && !plan.is_all_at_once());
        let started = Event::Started {
            placement: Beginning::placement("r1", 1),
            plan: Some(plan),
        };
        Self {
            events: vec![started],
            terms: Terms {
                replicas,
                stable_replicas,
                router,
                deadline: TimeSpan::from_secs(120),
                drain: TimeSpan::from_secs(10),
                patience: TimeSpan::from_secs(60),
            },
            stable: Set {
                total: stable_replicas,
                ready: stable_replicas,
                is_idle: true,
            },
            candidate: Set::default(),
            failed: false,
            weight: Percent::ZERO,
            is_coarse,
            is_rolling,
            now: Timestamp::UNIX_EPOCH,
            asked: 0,
            most_ready: (false, 0, Timestamp::UNIX_EPOCH),
        }
    }

    pub(crate) fn rollouts(&self) -> Rollouts {
        Rollouts::fold((1..).zip(self.events.iter().cloned()))
    }

    fn progress(&self) -> Progress {
        self.rollouts().progress.expect("it is under way")
    }

    pub(crate) fn observed(&self) -> Observed {
        let all = self.candidate.ready + self.stable.ready;
        let weight = match self.is_rolling {
            true if all == 0 => Percent::ZERO,
            true => Percent::from_parts_per_million(self.candidate.ready * 1_000_000 / all),
            false => self.weight,
        };
        Observed {
            stable: self.stable,
            candidate: self.candidate,
            failed: self.failed.then(|| "it crashes".to_owned()),
            weight,
            advanced_at: self.most_ready.2,
        }
    }

    pub(crate) fn decide(&self) -> Decision {
        decide(&self.progress(), &self.observed(), &self.terms, self.now)
    }

    pub(crate) fn is_stable_whole(&self) -> bool {
        self.stable.ready == self.terms.stable_replicas
    }

    /// One look of a deployer that knows only the events: what it brings about, and the end if it comes to it.
    pub(crate) fn look(
        &mut self,
        router_obeys: bool,
        pace: u32,
    ) -> Result<Option<Event>, TestCaseError> {
        let progress = self.progress();
        self.remember(progress.abort.is_some());
        let observed = self.observed();
        let decision = decide(&progress, &observed, &self.terms, self.now);
        checks::at_a_look(&progress, &observed, &self.terms, &decision)?;
        if router_obeys {
            self.weight = self.measured(decision.weight);
        }
        self.stable = resized(self.stable, decision.sizes.stable, pace);
        self.candidate = resized(self.candidate, decision.sizes.candidate, pace);
        let run = Beginning::placement("r1", 1).run;
        let event = decision.next.event(&run, "http://a", self.now);
        prop_assert_eq!(
            event.is_none(),
            matches!(decision.next, Next::Stay { .. }),
            "all else is an event"
        );
        if let Some(event) = &event {
            let before = self.rollouts();
            self.events.push(event.clone());
            prop_assert_ne!(
                Rollouts {
                    last_sequence: 0,
                    ..before
                },
                Rollouts {
                    last_sequence: 0,
                    ..self.rollouts()
                },
                "{:?} changes something",
                event
            );
        }
        Ok(event.filter(|event| matches!(event, Event::Ended { .. })))
    }

    /// A router in whole percent never makes something of nothing, or all of nearly all.
    fn measured(&self, weight: Percent) -> Percent {
        if !self.is_coarse || weight == Percent::ZERO || weight == Percent::ALL {
            return weight;
        }
        Percent::of(((weight.parts_per_million() + 5_000) / 10_000).clamp(1, 99))
    }

    pub(crate) fn disturb(&mut self, tick: &Tick) {
        self.passes(i64::from(tick.seconds));
        for (set, up, vanishes) in [
            (&mut self.candidate, tick.candidate_up, tick.vanish.0),
            (&mut self.stable, tick.stable_up, tick.vanish.1),
        ] {
            set.total -= u32::from(vanishes && set.total > 0);
            let answers = |i: &u32| up & (1 << (i % 8)) != 0;
            set.ready = u32::try_from((0..set.total).filter(answers).count()).expect("few");
            set.is_idle = tick.is_idle;
        }
        self.failed = tick.failed;
        if tick.restarts {
            self.most_ready = (self.most_ready.0, 0, self.now);
        }
        if let Some(verdict) = tick.verdict {
            self.judge(verdict);
        }
        if let Some(request) = tick.request {
            self.ask(request);
        }
    }

    /// Nothing unexpected happens: what can come up has come up, and people answer where they are asked.
    pub(crate) fn calm_down(&mut self, outlook: &Outlook) {
        self.passes(SECONDS_OF_A_CALM_LOOK);
        self.failed = false;
        for (set, comes_up) in [
            (&mut self.candidate, outlook.candidate_comes_up),
            (&mut self.stable, outlook.stable_comes_up),
        ] {
            set.ready = if comes_up { set.total } else { 0 };
            set.is_idle = true;
        }
        let progress = self.progress();
        if let Some(paused) = &progress.paused {
            self.asked += 1;
            let again = self.asked.is_multiple_of(3);
            let is_good = outlook.candidate_comes_up && outlook.verdict == Some(Verdict::Pass);
            let by_a_person = paused.by.is_some();
            self.ask(match outlook.answer {
                // Who lets it wait for ever, or begins again and again, waits for ever.
                _ if by_a_person => Request::Resume,
                Request::Pause | Request::Retry => Request::Abort,
                _ if again && !is_good => Request::Abort,
                answer => answer,
            });
        }
        if let Some(verdict) = outlook.verdict.filter(|_| progress.verdict.is_none()) {
            self.judge(verdict);
        }
    }

    fn remember(&mut self, is_going_back: bool) {
        let coming = if is_going_back {
            self.stable
        } else {
            self.candidate
        };
        let (was_going_back, most, _) = self.most_ready;
        if is_going_back != was_going_back || coming.ready > most {
            self.most_ready = (is_going_back, coming.ready, self.now);
        }
    }

    fn passes(&mut self, seconds: i64) {
        self.now = self
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .expect("in range");
    }

    fn judge(&mut self, verdict: Verdict) {
        let index = u32::try_from(self.progress().index).expect("few steps");
        let act = Act::Judged {
            index,
            verdict,
            evidence: Vec::new(),
        };
        self.acts(act);
    }

    fn acts(&mut self, act: Act) {
        let run = Beginning::placement("r1", 1).run;
        let at = self.now;
        self.events.push(Event::Acted { run, act, at });
    }

    fn ask(&mut self, request: Request) {
        let (rollouts, now) = (self.rollouts(), self.now);
        let (run, by) = (Beginning::placement("r1", 1).run, Actor("ada".to_owned()));
        let granted = match request {
            Request::Pause => rollouts.pause(&run, &by, "lunch", now),
            Request::Resume => rollouts.resume(&run, &by, now),
            Request::Promote { full } => rollouts.promote(&run, &by, full, now),
            Request::Abort => rollouts.abort(&run, &by, "it is slow", now),
            Request::Retry => rollouts.retry(&run, &by, now),
        };
        match granted {
            Ok(event) => self.events.push(event),
            Err(refusal) => assert!(!refusal.why.is_empty()),
        }
    }
}

/// So many replicas more or fewer, at the target's pace; those that are not ready go first, and new ones are not ready.
fn resized(set: Set, wanted: u32, pace: u32) -> Set {
    let total = wanted.clamp(
        set.total.saturating_sub(pace),
        set.total.saturating_add(pace),
    );
    Set {
        total,
        ready: set.ready.min(total),
        ..set
    }
}
