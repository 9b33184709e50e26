//! The stages of a run with their states and times; those that run side by side are held by a bracket.

use std::collections::HashMap;

use proto::gateway::v1::{Run, Stage, TestCounts};

use super::table::pad;
use super::{Page, clean, duration};
use crate::output::time::instant;

/// One line for each stage.
#[must_use]
pub fn lines(run: &Run, page: &Page) -> Vec<String> {
    let names = run
        .stages
        .iter()
        .map(|s| s.name.chars().count())
        .max()
        .unwrap_or(0);
    let line = |(bracket, stage): (&str, &Stage)| {
        let (name, time) = (
            pad(&stage.name, names),
            format!("{:>7}", duration::of_stage(stage, page.now)),
        );
        let name = if is_quiet(stage) {
            page.paint.dim(&name)
        } else {
            name
        };
        let note = page.paint.dim(&note(run, stage, page));
        let line = format!(
            "  {}{} {name} {time}  {note}",
            page.paint.dim(bracket),
            symbol(&stage.state, page)
        );
        page.fit(line.trim_end())
    };
    rows(&run.stages).into_iter().map(line).collect()
}

/// The stages in order, each with its bracket: what may run at the same time stands together.
fn rows(stages: &[Stage]) -> Vec<(&'static str, &Stage)> {
    let ranks = ranks(stages);
    let mut order: Vec<usize> = (0..stages.len()).collect();
    order.sort_by_key(|&index| ranks[index]);
    let groups: Vec<&[usize]> = order.chunk_by(|a, b| ranks[*a] == ranks[*b]).collect();
    let parallel = groups.iter().any(|group| group.len() > 1);
    let mut rows = Vec::with_capacity(stages.len());
    for group in groups {
        for (place, &index) in group.iter().enumerate() {
            let bracket = match (place, group.len()) {
                (_, 1) if parallel => "  ",
                (_, 1) => "",
                (0, _) => "┌ ",
                (place, length) if place + 1 == length => "└ ",
                _ => "├ ",
            };
            rows.push((bracket, &stages[index]));
        }
    }
    rows
}

/// How many stages are before each at the least; stages of equal rank need each other in no way.
fn ranks(stages: &[Stage]) -> Vec<usize> {
    let place: HashMap<&str, usize> = stages
        .iter()
        .enumerate()
        .map(|(i, s)| (s.name.as_str(), i))
        .collect();
    let mut ranks = vec![0; stages.len()];
    // A plan has no circles; a wrong one must not hang us, so there are as many rounds as stages and no more.
    for _ in 0..stages.len() {
        for (index, stage) in stages.iter().enumerate() {
            let before = stage
                .needs
                .iter()
                .filter_map(|need| place.get(need.as_str()))
                .map(|&i| ranks[i] + 1)
                .max();
            ranks[index] = before.unwrap_or(0).min(stages.len());
        }
    }
    ranks
}

/// The state as one coloured character.
#[must_use]
pub fn symbol(state: &str, page: &Page) -> String {
    let paint = page.paint;
    match state {
        "succeeded" => paint.good("✔"),
        "skipped" => paint.good("≡"),
        "failed" | "errored" => paint.bad("✘"),
        "running" => paint.active("●"),
        "queued" => paint.active("◌"),
        "waiting_for_approval" => paint.attention("?"),
        "cancelled" => paint.dim("–"),
        _ => paint.dim("·"),
    }
}

/// The state in words.
#[must_use]
pub fn words(state: &str) -> String {
    state.replace('_', " ")
}

fn is_quiet(stage: &Stage) -> bool {
    matches!(stage.state.as_str(), "pending" | "cancelled")
}

fn note(run: &Run, stage: &Stage, page: &Page) -> String {
    let reason = clean::lines(&stage.reason).next().unwrap_or_default();
    if let Some(rollout) = &stage.rollout {
        return clean::line(&rollout.standing);
    }
    let note = match stage.state.as_str() {
        "pending" => String::new(),
        "queued" => match tried_again(stage, page) {
            Some(waits) => return waits,
            None => "waits for a worker".to_owned(),
        },
        // The reason is that of the attempt before.
        "running" if !reason.is_empty() => return again(stage, &reason),
        "waiting_for_approval" => {
            let environment = stage.name.split_once(':').map_or("", |(_, e)| e);
            format!(
                "slipway approve {} --environment {environment}",
                super::run::short_id(&run.run_id)
            )
        }
        "skipped" => format!("not needed: {reason}"),
        "cancelled" if reason.is_empty() => "cancelled".to_owned(),
        "failed" | "errored" => match &stage.tests {
            Some(counts) if counts.failed > 0 => tests(counts),
            _ => reason,
        },
        _ => match &stage.tests {
            Some(counts) => tests(counts),
            None => reason,
        },
    };
    match (stage.attempt, note.is_empty()) {
        (0 | 1, _) => note,
        (attempt, true) => format!("attempt {attempt}"),
        (attempt, false) => format!("{note} (attempt {attempt})"),
    }
}

fn again(stage: &Stage, reason: &str) -> String {
    format!("attempt {}; before: {reason}", stage.attempt)
}

/// When a stage that broke is tried again: `attempt 2 broke, again in 5s`.
#[must_use]
pub fn tried_again(stage: &Stage, page: &Page) -> Option<String> {
    let at = instant(stage.tried_again_at.as_ref())?;
    let seconds = (at.as_millisecond() - page.now.as_millisecond() + 999) / 1000;
    let when = match seconds {
        ..=0 => "again now".to_owned(),
        seconds => format!("again in {seconds}s"),
    };
    Some(format!("attempt {} broke, {when}", stage.attempt))
}

/// `41 passed, 2 skipped`, or `3 of 42 failed`.
#[must_use]
pub fn tests(counts: &TestCounts) -> String {
    if counts.failed > 0 {
        let all = counts.passed + counts.failed + counts.skipped;
        return format!("{} of {all} failed", counts.failed);
    }
    let parts = [(counts.passed, "passed"), (counts.skipped, "skipped")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    if parts.is_empty() {
        "no tests".to_owned()
    } else {
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, needs: &[&str]) -> Stage {
        Stage {
            name: name.into(),
            needs: needs.iter().map(|n| (*n).to_owned()).collect(),
            ..Stage::default()
        }
    }

    #[test]
    fn what_runs_side_by_side_is_bracketed() {
        let stages = [
            stage("build", &[]),
            stage("unit-test", &["build"]),
            stage("image", &["build"]),
            stage("publish", &["unit-test", "image"]),
        ];
        let rows: Vec<String> = rows(&stages)
            .iter()
            .map(|(bracket, s)| format!("{bracket}{}", s.name))
            .collect();
        assert_eq!(rows, ["  build", "┌ unit-test", "└ image", "  publish"]);
    }

    #[test]
    fn what_is_tried_again_says_when_and_what_runs_anew_says_why() {
        let page = Page {
            paint: crate::render::paint::Paint::new(false),
            width: 200,
            height: 24,
            now: jiff::Timestamp::from_second(100).unwrap(),
        };
        let mut broken = Stage {
            state: "queued".into(),
            attempt: 2,
            reason: "no such host".into(),
            tried_again_at: Some(prost_types::Timestamp {
                seconds: 104,
                nanos: 500_000_000,
            }),
            ..stage("image", &[])
        };
        let note = |stage: &Stage| note(&Run::default(), stage, &page);
        assert_eq!(note(&broken), "attempt 2 broke, again in 5s");
        (broken.state, broken.attempt, broken.tried_again_at) = ("running".into(), 3, None);
        assert_eq!(note(&broken), "attempt 3; before: no such host");
        (broken.state, broken.reason) = ("queued".into(), String::new());
        assert_eq!(note(&broken), "waits for a worker (attempt 3)");
    }

    #[test]
    fn counts_of_red_tests_are_out_of_all() {
        let counts = |passed, failed, skipped| {
            tests(&TestCounts {
                passed,
                failed,
                skipped,
            })
        };
        assert_eq!(counts(39, 3, 0), "3 of 42 failed");
        assert_eq!(counts(39, 0, 2), "39 passed, 2 skipped");
        assert_eq!(counts(0, 0, 0), "no tests");
    }

    #[test]
    fn a_plan_in_a_circle_still_ends() {
        let stages = [stage("a", &["b"]), stage("b", &["a"])];
        assert_eq!(rows(&stages).len(), 2);
    }
}
