//! What changed between two looks at a run: one line each, for logs of other programs and for pipes.

use jiff::Timestamp;
use proto::gateway::v1::{Run, Stage};

use super::run::title;
use super::{Page, clean, duration, graph};
use crate::output::time::instant;

/// The lines for what is new in `now` since `before`.
#[must_use]
pub fn lines(before: Option<&Run>, now: &Run, page: &Page) -> Vec<String> {
    let mut lines = Vec::new();
    for stage in &now.stages {
        let old = before.and_then(|run| run.stages.iter().find(|s| s.name == stage.name));
        let seen = |stage: &Stage| (stage.state.clone(), stage.attempt, stage.rollout.clone());
        let same = old.is_some_and(|old| seen(old) == seen(stage));
        let planned = old.is_none() && stage.state == "pending";
        if !same && !planned {
            let at = stage.finished_at.as_ref().or(stage.started_at.as_ref());
            lines.push(format!(
                "{} {} {}",
                clock(now, instant(at), page),
                now.service,
                of_stage(stage, page)
            ));
        }
    }
    if before.is_none_or(|old| old.state != now.state) {
        let at = instant(now.finished_at.as_ref());
        let (symbol, title) = (graph::symbol(&now.state, page), title(now));
        lines.push(format!(
            "{} {title} {symbol} {}",
            clock(now, at, page),
            graph::words(&now.state)
        ));
    }
    lines
}

fn of_stage(stage: &Stage, page: &Page) -> String {
    let reason = clean::lines(&stage.reason).next().unwrap_or_default();
    if let Some(rollout) = &stage.rollout {
        let symbol = graph::symbol(&stage.state, page);
        return format!("{} {symbol} {}", stage.name, clean::line(&rollout.standing));
    }
    if let Some(waits) = graph::tried_again(stage, page) {
        let symbol = graph::symbol(&stage.state, page);
        return format!("{} {symbol} {waits}: {reason}", stage.name);
    }
    let mut text = format!(
        "{} {} {}",
        stage.name,
        graph::symbol(&stage.state, page),
        graph::words(&stage.state)
    );
    if stage.attempt > 1 {
        text.push_str(&format!(" (attempt {})", stage.attempt));
    }
    if stage.finished_at.is_some() && stage.started_at.is_some() {
        text.push_str(&format!(" in {}", duration::of_stage(stage, page.now)));
    }
    match &stage.tests {
        // It was said when the attempt before ended.
        _ if stage.state == "running" => {}
        // The reason has the counts.
        _ if !reason.is_empty() => text.push_str(&format!(": {reason}")),
        Some(counts) => text.push_str(&format!(", {}", graph::tests(counts))),
        None => {}
    }
    text
}

/// The time since the run was made, as `[    12s]`. What has no time of its own happened when the run last changed.
fn clock(run: &Run, at: Option<Timestamp>, page: &Page) -> String {
    let start = instant(run.created_at.as_ref());
    let at = at.or_else(|| last_change(run)).or(start);
    let since = start.zip(at).map_or(0, |(start, at)| {
        at.as_millisecond() - start.as_millisecond()
    });
    page.paint.dim(&format!("[{:>7}]", duration::text(since)))
}

fn last_change(run: &Run) -> Option<Timestamp> {
    let of_stages = run
        .stages
        .iter()
        .flat_map(|stage| [&stage.started_at, &stage.finished_at]);
    of_stages
        .chain([&run.finished_at])
        .filter_map(|time| instant(time.as_ref()))
        .max()
}
