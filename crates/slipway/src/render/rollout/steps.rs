//! The steps of a rollout with their marks and times.

use proto::gateway::v1::{Rollout, RolloutStep};

use crate::output::time::instant;
use crate::render::table::pad;
use crate::render::{Page, duration};

/// One line for each step.
pub(super) fn lines(rollout: &Rollout, page: &Page) -> Vec<String> {
    let steps = &rollout.steps;
    let names = steps.iter().map(|s| s.name.chars().count()).max();
    let names = names.unwrap_or(0);
    let line = |(index, step): (usize, &RolloutStep)| {
        let name = pad(&step.name, names);
        let name = match step.state.as_str() {
            "pending" | "skipped" => page.paint.dim(&name),
            _ => name,
        };
        let line = format!(
            "  {} {:>2}  {name}  {:>8}  {:>7}  {}",
            mark(&step.state, page),
            index + 1,
            page.paint
                .dim(&duration::clock(step.entered_at.as_ref(), page.now)),
            took(step, page),
            note(rollout, step, page)
        );
        page.fit(line.trim_end())
    };
    steps.iter().enumerate().map(line).collect()
}

fn mark(state: &str, page: &Page) -> String {
    let paint = page.paint;
    match state {
        "done" => paint.good("✔"),
        "current" => paint.active("●"),
        "stopped" => paint.bad("✘"),
        "skipped" => paint.dim("–"),
        _ => paint.dim("·"),
    }
}

fn took(step: &RolloutStep, page: &Page) -> String {
    duration::between(step.entered_at.as_ref(), step.left_at.as_ref(), page.now)
}

/// What is going on in the step that it is at.
fn note(rollout: &Rollout, step: &RolloutStep, page: &Page) -> String {
    if step.state == "skipped" {
        return page.paint.dim("left out");
    }
    if step.state != "current" {
        return String::new();
    }
    match rollout.state.as_str() {
        "paused" => page.paint.attention("paused"),
        "aborting" => page.paint.attention("is being taken back"),
        _ => match left(rollout, step, page) {
            Some(left) => page.paint.active(&left),
            None => String::new(),
        },
    }
}

/// How much of the step's time is left.
fn left(rollout: &Rollout, step: &RolloutStep, page: &Page) -> Option<String> {
    if step.seconds == 0 {
        return None;
    }
    let since = instant(rollout.entered_at.as_ref())?.as_second();
    let passed = page.now.as_second() - since;
    let left = i64::try_from(step.seconds).ok()? - passed.max(0);
    Some(match left {
        ..=0 => "its time is over".to_owned(),
        left => format!("{} left", duration::whole(left)),
    })
}
