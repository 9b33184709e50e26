//! The analysis of a rollout while it is under way: measures what is due, compares the requests to both versions, and
//! says when that comes to another verdict.
//!
//! What anything comes to is decided in [`domain::analysis`]; here it is asked for. Nothing of it is kept outside: a
//! deployer that goes on where another stopped compares the requests from then on, and measures anew.

mod container;
mod evidence;
mod exchange;
mod http;

mod probes;
mod prometheus;
pub(crate) mod requests;
mod sources;
mod standing;

use std::time::Duration;

use domain::analysis::judge::{Judge, Look, Patience};
use domain::analysis::progress::Progress;
use domain::analysis::subject::Subject;
use domain::analysis::verdict::Verdict;
use domain::rollout::Evidence;
use domain::spec::{Analysis, TimeSpan};
use jiff::Timestamp;

pub(crate) use sources::Sources;

use probes::Probes;
use requests::Tally;

/// How much longer than it has to a step waits for its verdict: for a slow answer, and for the next look.
const SLACK: Duration = Duration::from_secs(60);

/// Watches one rollout, over all its steps.
pub(crate) struct Watch {
    analysis: Analysis,
    versions: evidence::Versions,
    judge: Option<Judge>,
    tally: Tally,
    metrics: Progress,
    probes: Probes,
    visit: Option<Visit>,
}

/// The step that the rollout is at.
struct Visit {
    step: usize,
    /// Since when its time is over.
    over_since: Option<Timestamp>,
    /// It has no time of its own: it is there for the analysis.
    is_analysis: bool,
    /// The verdict that was given last.
    told: Option<Verdict>,
}

impl Watch {
    /// Nothing was looked at yet. Begin before the new version gets traffic: what was asked of it before the first look
    /// does not count.
    pub(crate) fn new(analysis: &Analysis, subject: Subject, sources: Sources) -> Self {
        let is_compared = analysis.errors.is_some() || analysis.latency.is_some();
        Self {
            versions: evidence::Versions::of(&subject),
            judge: is_compared.then(|| Judge::new(analysis)),
            tally: Tally::default(),
            metrics: Progress::new(analysis),
            probes: Probes::new(sources, subject),
            visit: None,
            analysis: analysis.clone(),
        }
    }

    /// How long a step has to wait for a verdict after its time: an answer there is until then, if only that there is no
    /// data.
    pub(crate) fn patience(analysis: &Analysis) -> TimeSpan {
        let longest = analysis
            .metrics
            .iter()
            .map(standing::time_of)
            .max()
            .unwrap_or_default();
        let wait = analysis.wait_for_samples.get() + longest + SLACK;
        TimeSpan::from_secs(wait.as_secs())
    }

    /// Looks at the rollout at a step, counted from 0. To be called again and again, in steps that wait for a verdict and
    /// in others: bad news is good to know early. It never waits: what is measured is asked for beside, and found at a
    /// later look.
    ///
    /// * `over`: the step waits for a verdict, and not for time.
    /// * `traffic`: what [`requests::of_status`] makes of the router's counts, if they could be had.
    /// * `unhealthy`: the replicas of the new version that are not as they should be.
    /// * `known`: the verdict of this step that the rollout has kept. It is not told again.
    pub(crate) fn look(
        &mut self,
        step: usize,
        over: bool,
        traffic: Option<Look>,
        unhealthy: u32,
        known: Option<Verdict>,
        now: Timestamp,
    ) -> Option<(Verdict, Vec<Evidence>)> {
        let (patience, is_analysis) = self.come_to(step, over, known, now);
        self.measure(step, unhealthy, now);
        if let (Some(judge), Some(traffic)) = (&mut self.judge, traffic)
            && let Some(since) = self.tally.add(traffic)
        {
            judge.look(since);
        }
        let judged = self.judge.as_ref().map(|judge| {
            let conclusion = judge.conclusion(patience);
            conclusion.map(|conclusion| conclusion.verdict)
        });
        let at = standing::At {
            step,
            patience,
            is_analysis,
            now,
        };
        let measured = standing::of_metrics(&self.metrics, &at);
        let verdict = standing::of_both(judged, measured, patience)?;
        if known == Some(verdict) {
            return None;
        }
        if let Some(visit) = &mut self.visit {
            visit.told = Some(verdict);
        }
        let compared = self
            .judge
            .as_ref()
            .map(|judge| (judge, judged.flatten().unwrap_or(Verdict::Pass)));
        let evidence = evidence::of(
            compared,
            &self.versions,
            &self.metrics,
            self.analysis.min_samples,
        );
        Some((verdict, evidence))
    }

    /// Notes at which step it is, and says how long one would wait there, and whether the analysis is all there is to it.
    fn come_to(
        &mut self,
        step: usize,
        over: bool,
        known: Option<Verdict>,
        now: Timestamp,
    ) -> (Patience, bool) {
        let is_here = |visit: &Visit| visit.step == step;
        let mut visit = self.visit.take().filter(is_here).unwrap_or(Visit {
            step,
            over_since: None,
            is_analysis: over,
            told: None,
        });
        let is_unclear = matches!(visit.told, Some(Verdict::Inconclusive | Verdict::NoData));
        if is_unclear && known.is_none() {
            // A person let it go on all the same.
            (visit.told, visit.over_since) = (None, None);
            self.metrics = Progress::new(&self.analysis);
        }
        visit.over_since = over.then(|| visit.over_since.unwrap_or(now));
        let patience = match visit.over_since {
            None => Patience::StepGoesOn,
            Some(since) if is_past(since, self.analysis.wait_for_samples, now) => {
                Patience::Exhausted
            }
            Some(_) => Patience::StepIsOver,
        };
        let is_analysis = visit.is_analysis;
        self.visit = Some(visit);
        (patience, is_analysis)
    }

    /// Takes in what was measured, and asks for what is due.
    fn measure(&mut self, step: usize, unhealthy: u32, now: Timestamp) {
        for (metric, measurement) in self.probes.finished() {
            tracing::debug!(
                metric = metric.name,
                dry_run = metric.dry_run,
                query = measurement.query,
                result = %measurement,
                "measured"
            );
            if let Err(unknown) = self.metrics.record(&metric.name, measurement) {
                tracing::error!(error = &unknown as &dyn std::error::Error, "not recorded");
            }
        }
        let from_one = u32::try_from(step + 1).unwrap_or(u32::MAX);
        self.metrics.reach_step(from_one, now);
        for metric in self.metrics.due(now) {
            self.probes.begin(metric, unhealthy);
        }
    }
}

fn is_past(since: Timestamp, time: TimeSpan, now: Timestamp) -> bool {
    since.checked_add(time.get()).is_ok_and(|end| end <= now)
}

#[cfg(test)]
mod tests;
