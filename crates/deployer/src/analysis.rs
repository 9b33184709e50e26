//! The analysis of a rollout while it is under way: measures what is due, compares the requests to both versions, and
//! says when that comes to another verdict.
//!
//! What anything comes to is decided in [`domain::analysis`]; here it is asked for. Nothing of it is kept outside: a
//! deployer that goes on where another stopped compares the requests from then on, and measures anew. It has its own share
//! of the bound on false aborts ([`Judge::of_attempt`]).

pub(crate) mod access;
pub(crate) mod container;
mod evidence;
pub(crate) mod exchange;
mod http;
pub(crate) mod load;
mod probes;
mod prometheus;
mod reach;
pub(crate) mod requests;
mod sources;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use domain::analysis::judge::{Judge, Look, Patience};
use domain::analysis::progress::Progress;
use domain::analysis::subject::Subject;
use domain::analysis::verdict::Verdict;
use domain::rollout::{self, Act, Evidence, Step};
use domain::spec::{Analysis, TimeSpan};
use jiff::Timestamp;

pub(crate) use sources::Sources;

use load::Load;
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
    load: Load,
    attempt: u32,
    visit: Option<Visit>,
    /// The verdict that counted at the last look.
    kept: Option<Verdict>,
    /// The verdict that people were told last, and at which step.
    said: Option<(usize, Verdict)>,
    news: Vec<String>,
}

/// The step that the rollout is at.
struct Visit {
    step: usize,
    /// Since when its time is over.
    over_since: Option<Timestamp>,
    /// It has no time of its own: it is there for the analysis.
    is_analysis: bool,
}

impl Watch {
    /// Nothing was looked at yet. Begin before the new version gets traffic: what was asked of it before the first look
    /// does not count. `attempt`, counted from 1, is how often somebody began to watch this rollout.
    pub(crate) fn new(
        analysis: &Analysis,
        subject: Subject,
        sources: Sources,
        attempt: u32,
    ) -> Self {
        let versions = evidence::Versions::of(&subject);
        let (sources, subject) = (Arc::new(sources), Arc::new(subject));
        Self {
            versions,
            judge: judge(analysis, attempt),
            tally: Tally::default(),
            metrics: Progress::new(analysis),
            load: Load::new(analysis.load.as_ref(), sources.clone(), subject.clone()),
            probes: Probes::new(sources, subject),
            attempt,
            visit: None,
            kept: None,
            said: None,
            news: Vec::new(),
            analysis: analysis.clone(),
        }
    }

    /// What people are to be told since the last time, line by line.
    pub(crate) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
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

    /// Looks at the rollout; gives the act that it is to keep, if there is another verdict. To be called again and again, at
    /// every step: bad news is good to know early. It never waits: what is measured is asked for beside, and found at a
    /// later look.
    ///
    /// * `traffic`: what [`requests::of_status`] makes of the router's counts, if they could be had.
    /// * `unhealthy`: the replicas of the new version that are not as they should be.
    pub(crate) fn act(
        &mut self,
        progress: &rollout::Progress,
        traffic: Option<Look>,
        unhealthy: u32,
        now: Timestamp,
    ) -> Option<Act> {
        if progress.abort.is_some() || progress.is_hurried || !progress.plan.is_analysed {
            self.load.stop();
            return None;
        }
        // While a person thinks about it, nothing waits for requests.
        match progress.paused {
            Some(_) => self.load.stop(),
            None => self.news.extend(self.load.go_on(progress.step())),
        }
        let known = progress.verdict.as_ref().map(|judgement| judgement.verdict);
        let over = progress.paused.is_none() && is_over(progress, now);
        // Elsewhere replicas and traffic are still on their way.
        let unhealthy = progress
            .step()
            .is_some_and(Step::waits)
            .then_some(unhealthy);
        let (verdict, evidence) =
            self.look(progress.index, over, traffic, unhealthy, known, now)?;
        Some(Act::Judged {
            index: u32::try_from(progress.index).unwrap_or(u32::MAX),
            verdict,
            evidence,
        })
    }

    /// The same at a step, counted from 0. `over` means that the step waits for a verdict, and not for time; `known` is the
    /// verdict that the rollout has kept for now, which is not told again. Without `unhealthy` nothing is measured now.
    fn look(
        &mut self,
        step: usize,
        over: bool,
        traffic: Option<Look>,
        unhealthy: Option<u32>,
        known: Option<Verdict>,
        now: Timestamp,
    ) -> Option<(Verdict, Vec<Evidence>)> {
        self.know(known);
        let (patience, is_analysis) = self.come_to(step, over, now);
        self.take_in();
        if let Some(unhealthy) = unhealthy {
            self.measure(step, unhealthy, now);
        }
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
        let compared = self
            .judge
            .as_ref()
            .map(|judge| (judge, judged.flatten().unwrap_or(Verdict::Pass)));
        // Until it is recorded it comes again.
        if self.said.replace((step, verdict)) != Some((step, verdict)) {
            let line = evidence::line(step, verdict, compared, &self.metrics);
            self.news.push(line);
        }
        let evidence = evidence::of(
            compared,
            &self.versions,
            &self.metrics,
            self.analysis.min_samples,
        );
        Some((verdict, evidence))
    }

    /// A verdict that does not count any more was set aside by a person: what led to it is looked at anew.
    fn know(&mut self, known: Option<Verdict>) {
        let kept = std::mem::replace(&mut self.kept, known);
        let Some(kept) = kept.filter(|_| known.is_none()) else {
            return;
        };
        self.said = None;
        if kept != Verdict::Pass {
            self.metrics = Progress::new(&self.analysis);
            self.visit = None;
        }
        if kept.aborts() {
            // A version that was called worse once counts as such already: what follows needs no bound of its own.
            self.judge = judge(&self.analysis, self.attempt);
            self.tally = Tally::default();
        }
    }

    /// Notes at which step it is, and says how long one would wait there, and whether the analysis is all there is to it.
    fn come_to(&mut self, step: usize, over: bool, now: Timestamp) -> (Patience, bool) {
        let is_here = |visit: &Visit| visit.step == step;
        let mut visit = self.visit.take().filter(is_here).unwrap_or(Visit {
            step,
            over_since: None,
            is_analysis: over,
        });
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

    /// Takes in what was measured.
    fn take_in(&mut self) {
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
    }

    /// Asks for what is due.
    fn measure(&mut self, step: usize, unhealthy: u32, now: Timestamp) {
        let from_one = u32::try_from(step + 1).unwrap_or(u32::MAX);
        self.metrics.reach_step(from_one, now);
        for metric in self.metrics.due(now) {
            self.probes.begin(metric, unhealthy);
        }
    }
}

/// The judge of what is compared, if anything is.
fn judge(analysis: &Analysis, attempt: u32) -> Option<Judge> {
    (!analysis.comparisons().is_empty()).then(|| Judge::of_attempt(analysis, attempt))
}

/// Whether a step waits for a verdict, and not for time.
fn is_over(progress: &rollout::Progress, now: Timestamp) -> bool {
    match progress.step() {
        Some(Step::Bake(time) | Step::Monitor(time)) => is_past(progress.entered_at, time, now),
        Some(Step::Analyse | Step::Validate) => true,
        _ => false,
    }
}

fn is_past(since: Timestamp, time: TimeSpan, now: Timestamp) -> bool {
    since.checked_add(time.get()).is_ok_and(|end| end <= now)
}

#[cfg(test)]
mod tests;
