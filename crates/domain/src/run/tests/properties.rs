//! What is true of every history, however events are interleaved, doubled or late.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::story::{
    FULL, IMAGE_ONLY, STAGING, Story, TWO_MUST_AGREE, actor, errored, failure, run_id, success,
    target, worker,
};
use crate::ids::EnvironmentName;
use crate::run::apply::MAX_ATTEMPTS;
use crate::run::{Claim, Event, Job, Kind, Run, RunState, Stage, StageState};
use crate::stage::{Outcome, StageName};

/// Something that may happen, where it is possible.
#[derive(Debug, Clone)]
enum Step {
    Claim(usize),
    End(usize, Outcome),
    Lose(usize),
    Approve(&'static str),
    Reject,
    Cancel,
    Retry,
    /// An event is delivered a second time.
    Double(usize),
    /// An event that was decided long ago is appended now.
    Late(usize),
    Wait(i64),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(success()),
        1 => Just(Outcome::Skipped { reason: "seen before".to_owned(), result: Box::default() }),
        1 => Just(failure()),
        4 => Just(errored(true)),
        1 => Just(errored(false)),
        1 => Just(Outcome::Cancelled { reason: "overtaken".to_owned() }),
    ]
}

fn which() -> impl Strategy<Value = usize> {
    0usize..64
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => which().prop_map(Step::Claim),
        10 => (which(), outcome()).prop_map(|(index, outcome)| Step::End(index, outcome)),
        2 => which().prop_map(Step::Lose),
        3 => select(vec!["ada", "bob", "eve"]).prop_map(Step::Approve),
        1 => Just(Step::Reject),
        1 => Just(Step::Cancel),
        2 => Just(Step::Retry),
        3 => which().prop_map(Step::Double),
        3 => which().prop_map(Step::Late),
        4 => (0i64..60).prop_map(Step::Wait),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Change),
        1 => Just(Kind::Proposal { number: "1".to_owned() }),
        1 => Just(Kind::Deploy(target("production"))),
        1 => Just(Kind::Rollback(target("production"))),
    ]
}

fn beginning() -> impl Strategy<Value = (&'static str, &'static str, Kind)> {
    (
        select(vec![FULL, IMAGE_ONLY]),
        select(vec![TWO_MUST_AGREE, STAGING]),
        kind(),
    )
}

fn story((spec, platform, kind): &(&str, &str, Kind)) -> Story {
    Story::of(spec, platform, kind)
}

fn first_waiting(run: &Run) -> Option<EnvironmentName> {
    run.waits_for().first().map(|e| (*e).clone())
}

fn pick<T>(index: usize, of: &[T]) -> Option<&T> {
    of.get(index.checked_rem(of.len())?)
}

/// The event of a step, if it is possible; each has been granted by a decision, except the ones that come late.
fn decide(story: &Story, step: &Step) -> Option<Event> {
    let (run, now) = (&story.run, story.now);
    match step {
        Step::Claim(index) => {
            let job = pick(*index, &run.ready())?.clone();
            match run.claim(&job.stage, job.attempt, &worker(), now) {
                Claim::Start(event) => Some(event),
                Claim::NotYet(_) => None,
                other => panic!("{} was ready: {other:?}", job.id()),
            }
        }
        Step::End(index, outcome) => {
            let (stage, attempt, _) = pick(*index, &run.running())?.clone();
            Some(
                run.end(&stage, attempt, outcome.clone(), now)
                    .expect("it runs"),
            )
        }
        Step::Lose(index) => {
            let (stage, attempt, worker) = pick(*index, &run.running())?.clone();
            Some(run.lost(&stage, attempt, &worker, now).expect("it runs"))
        }
        Step::Approve(by) => run.approve(&first_waiting(run)?, &actor(by), "", now).ok(),
        Step::Reject => run
            .reject(&first_waiting(run)?, &actor("eve"), "no", now)
            .ok(),
        Step::Cancel => run.cancel(&actor("ada"), "", now).ok(),
        Step::Retry => run.retry_by(&actor("ada"), now).ok(),
        Step::Late(index) => pick(*index, &story.events[1..]).map(|(_, event)| event.clone()),
        Step::Double(_) | Step::Wait(_) => None,
    }
}

fn take(story: &mut Story, step: &Step) -> Result<(), TestCaseError> {
    match step {
        Step::Wait(seconds) => story.wait(*seconds),
        Step::Double(index) => {
            let (sequence, event) = pick(*index, &story.events).expect("it was created").clone();
            prop_assert_eq!(&story.run.clone().apply(sequence, event), &story.run);
        }
        _ => {
            let Some(event) = decide(story, step) else {
                return Ok(());
            };
            let before = story.run.clone();
            if !matches!(step, Step::Late(_)) {
                let granted = before.clone().try_apply(event.clone());
                prop_assert!(
                    granted.is_ok(),
                    "a decision said {:?}, the fold says {:?}",
                    event,
                    granted
                );
            }
            story.append(event.clone());
            holds_between(&before, &story.run, &event)?;
        }
    }
    holds(&story.run)
}

/// What is true at any time.
fn holds(run: &Run) -> Result<(), TestCaseError> {
    let (state, ready) = (run.state(), run.ready());
    let busy = !ready.is_empty() || !run.running().is_empty();
    match state {
        RunState::Queued | RunState::Running => prop_assert!(busy, "nothing can happen: {run:#?}"),
        RunState::WaitingForApproval => prop_assert!(!run.waits_for().is_empty() && !busy),
        RunState::Succeeded => prop_assert!(run.stages.iter().all(|s| s.state.is_passed())),
        RunState::Failed | RunState::Cancelled => {
            prop_assert!(!busy && !run.reason().is_empty());
            prop_assert!(run.retry_by(&actor("ada"), run.updated_at).is_ok());
        }
    }
    let ids: HashSet<_> = ready.iter().map(Job::id).collect();
    prop_assert_eq!(ids.len(), ready.len());
    for stage in &run.stages {
        let is_restore = matches!(stage.name, StageName::Restore(_));
        if !is_restore && !matches!(stage.state, StageState::Pending | StageState::Ended { .. }) {
            let needs_passed = stage
                .needs
                .iter()
                .all(|n| run.stage(n).is_some_and(|n| n.state.is_passed()));
            prop_assert!(
                needs_passed,
                "{} is {} too early",
                stage.name,
                stage.state.name()
            );
        }
        let numbers: Vec<u32> = stage.attempts.iter().map(|a| a.number).collect();
        prop_assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "an attempt was made twice: {numbers:?}"
        );
        let tried = numbers.last().map_or(0, |last| last - stage.forgiven);
        prop_assert!(
            tried <= MAX_ATTEMPTS,
            "{} was tried {tried} times",
            stage.name
        );
        if run.cancelled.is_some() && !is_restore {
            let is_under_way = matches!(
                stage.state,
                StageState::Running { .. } | StageState::Ended { .. }
            );
            prop_assert!(is_under_way, "{} may begin after a cancel", stage.name);
        }
    }
    holds_of_environments(run)?;
    for environment in run.created.iter().flat_map(|c| &c.plan.environments) {
        let yes: Vec<_> = run
            .reviews
            .iter()
            .filter(|r| r.approved && r.environment == environment.name)
            .collect();
        let people: HashSet<_> = yes.iter().map(|r| &r.by).collect();
        prop_assert_eq!(people.len(), yes.len());
    }
    Ok(())
}

/// A version stays where its tests passed, and is taken out again where they did not, before the run is over.
fn holds_of_environments(run: &Run) -> Result<(), TestCaseError> {
    let has_passed =
        |name: &StageName| run.stage(name).is_some_and(|stage| stage.state.is_passed());
    for restore in &run.stages {
        let StageName::Restore(environment) = &restore.name else {
            continue;
        };
        let is_in = has_passed(&StageName::Deploy(environment.clone()));
        let are_green = restore.needs.iter().all(has_passed);
        let has_begun = restore.has_begun() || matches!(restore.state, StageState::Ready { .. });
        prop_assert!(
            !has_begun || (is_in && !are_green),
            "{} is {} though nothing is to be put back",
            restore.name,
            restore.state.name()
        );
        if run.state().is_ended() {
            prop_assert_eq!(restore.has_begun(), is_in && !are_green);
        }
    }
    Ok(())
}

/// What is true of one step.
fn holds_between(before: &Run, after: &Run, event: &Event) -> Result<(), TestCaseError> {
    let is_retry = matches!(event, Event::Retried { .. });
    let was_restored = |environment: &EnvironmentName| {
        let restore = before.stage(&StageName::Restore(environment.clone()));
        restore.is_some_and(Stage::has_begun)
    };
    for (old, new) in before.stages.iter().zip(&after.stages) {
        let counts = old.state.is_passed() && !old.name.environment().is_some_and(was_restored);
        if counts || (!is_retry && matches!(old.state, StageState::Ended { .. })) {
            prop_assert_eq!(old, new, "what has ended changes only by a retry");
        }
        let is_restore = matches!(old.name, StageName::Restore(_));
        if before.cancelled.is_some() && !is_retry && !is_restore {
            prop_assert_eq!(
                old.attempts.len(),
                new.attempts.len(),
                "{} began after a cancel",
                new.name
            );
        }
        if new.name.job_kind().is_none() && !old.state.is_passed() && new.state.is_passed() {
            let environment = new.name.environment().expect("an approval has one");
            let needed = after
                .created
                .as_ref()
                .and_then(|c| c.plan.environment(environment))
                .expect("planned");
            let yes = after
                .reviews
                .iter()
                .filter(|r| r.approved && r.environment == *environment)
                .count();
            prop_assert!(yes >= usize::try_from(needed.approvals).expect("small"));
        }
    }
    Ok(())
}

/// Lets everything go well from here.
fn finish(story: &mut Story) -> Result<(), TestCaseError> {
    for _ in 0..200 {
        story.wait(60);
        let step = match story.run.state() {
            RunState::Succeeded => return Ok(()),
            RunState::Failed | RunState::Cancelled => Step::Retry,
            RunState::WaitingForApproval => {
                let environment = first_waiting(&story.run).expect("it waits for somebody");
                for by in ["ada", "bob", "eve"] {
                    if let Ok(event) = story.run.approve(&environment, &actor(by), "", story.now) {
                        story.append(event);
                    }
                }
                continue;
            }
            RunState::Queued | RunState::Running if story.run.running().is_empty() => {
                Step::Claim(0)
            }
            RunState::Queued | RunState::Running => Step::End(0, success()),
        };
        take(story, &step)?;
    }
    Err(TestCaseError::fail(format!(
        "it never ends: {:#?}",
        story.run
    )))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_run_is_never_stuck_and_never_ahead_of_itself(beginning in beginning(), steps in vec(step(), 1..80)) {
        let mut story = story(&beginning);
        holds(&story.run)?;
        for step in &steps {
            take(&mut story, step)?;
        }
        finish(&mut story)?;
    }

    #[test]
    fn all_events_at_once_give_the_same_run_as_one_by_one(beginning in beginning(), steps in vec(step(), 1..80)) {
        let mut story = story(&beginning);
        for step in &steps {
            take(&mut story, step)?;
        }
        let folded = Run::fold(&run_id(), story.events.clone());
        prop_assert_eq!(folded.as_ref(), Some(&story.run));
        let doubled = Run::fold(&run_id(), story.events.iter().flat_map(|event| [event.clone(), event.clone()]));
        prop_assert_eq!(doubled.as_ref(), Some(&story.run));
    }
}
