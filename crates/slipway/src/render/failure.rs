//! Why a run is red, on one screen: the reason, the failing test, the last output, and how to see more.

use proto::gateway::v1::{Run, Stage};

use super::run::{headline, origin, short_id};
use super::{Page, clean, graph};

/// Lines that a failure takes at most, however high the terminal is.
const HIGHEST: usize = 40;
/// Lines that it may take even in the lowest terminal.
const LOWEST: usize = 24;
/// Failing tests that are shown with their messages.
const TESTS: usize = 3;
/// Lines of a failing test's message.
const MESSAGE_LINES: usize = 4;
/// Lines of the reason.
const REASON_LINES: usize = 4;

/// The stage that made the run fail: the first that is red.
#[must_use]
pub fn culprit(run: &Run) -> Option<&Stage> {
    run.stages
        .iter()
        .find(|stage| matches!(stage.state.as_str(), "failed" | "errored"))
}

/// The screen of a run that failed.
#[must_use]
pub fn screen(run: &Run, page: &Page) -> Vec<String> {
    let limit = page.height.clamp(LOWEST, HIGHEST) - 1;
    let mut lines = vec![headline(run, page)];
    lines.extend(origin(run, page));
    lines.extend(stages(run, page));
    let stage = culprit(run);
    lines.extend(reason(run, stage, page));
    let after = commands(run, stage);
    if let Some(stage) = stage {
        lines.extend(tests(
            stage,
            limit.saturating_sub(lines.len() + after.len()),
            page,
        ));
        lines.extend(output(
            stage,
            limit.saturating_sub(lines.len() + after.len()),
            page,
        ));
    }
    lines.extend(after);
    lines
}

/// The stages up to the red ones; what did not begin any more is one line.
fn stages(run: &Run, page: &Page) -> Vec<String> {
    let never = |stage: &Stage| {
        stage.started_at.is_none() && matches!(stage.state.as_str(), "pending" | "cancelled")
    };
    let begun = run
        .stages
        .iter()
        .filter(|s| !never(s))
        .cloned()
        .collect::<Vec<_>>();
    let left = run.stages.len() - begun.len();
    let mut lines = graph::lines(
        &Run {
            stages: begun,
            ..run.clone()
        },
        page,
    );
    if left > 0 {
        let text = format!(
            "  – {left} later {} not run",
            if left == 1 { "stage did" } else { "stages did" }
        );
        lines.push(page.paint.dim(&text));
    }
    lines
}

fn reason(run: &Run, stage: Option<&Stage>, page: &Page) -> Vec<String> {
    let of_stage = stage.map(|s| s.reason.as_str()).filter(|r| !r.is_empty());
    let reason = of_stage.unwrap_or(&run.reason);
    let mut lines = vec![String::new()];
    let first = stage.map_or_else(|| "why".to_owned(), |s| s.name.clone());
    for (index, line) in wrapped(reason, page.width.saturating_sub(2), REASON_LINES)
        .iter()
        .enumerate()
    {
        if index == 0 {
            lines.push(page.fit(&format!("{} {line}", page.paint.bad(&format!("{first}:")))));
        } else {
            lines.push(page.fit(&format!("  {line}")));
        }
    }
    lines
}

/// The failing tests, with what they said as far as `room` lines allow while some output can still be shown.
fn tests(stage: &Stage, room: usize, page: &Page) -> Vec<String> {
    let mut lines = Vec::new();
    // At least a third of the room is left to the output, if there is any.
    let room = if stage.last_lines.is_empty() {
        room
    } else {
        room * 2 / 3
    };
    for (index, test) in stage.failed_tests.iter().enumerate() {
        let message: Vec<String> = clean::lines(&test.message)
            .filter(|l| !l.trim().is_empty())
            .collect();
        let shown = message.len().min(MESSAGE_LINES);
        if index == TESTS || lines.len() + shown + 3 > room {
            lines.push(page.paint.dim(&format!(
                "  and {} more failing tests",
                stage.failed_tests.len() - index
            )));
            break;
        }
        if index == 0 {
            lines.push(String::new());
        }
        lines.push(page.fit(&format!(
            "  {} {}",
            page.paint.bad("✘"),
            page.paint.strong(&clean::line(&test.name))
        )));
        lines.extend(
            message
                .iter()
                .take(shown)
                .map(|line| page.fit(&format!("      {line}"))),
        );
    }
    lines
}

/// The last lines of output that fit.
fn output(stage: &Stage, room: usize, page: &Page) -> Vec<String> {
    let kept: Vec<String> = stage.last_lines.iter().map(|l| clean::line(l)).collect();
    let Some(count) = room
        .checked_sub(2)
        .filter(|count| *count > 0 && !kept.is_empty())
    else {
        return Vec::new();
    };
    let from = kept.len().saturating_sub(count);
    let mut lines = vec![
        String::new(),
        page.paint.dim(&format!("last output of {}", stage.name)),
    ];
    lines.extend(
        kept[from..]
            .iter()
            .map(|line| page.fit(&format!("{} {line}", page.paint.dim("│")))),
    );
    lines
}

fn commands(run: &Run, stage: Option<&Stage>) -> Vec<String> {
    let id = short_id(&run.run_id);
    let stage = stage
        .map(|s| format!(" --stage {}", s.name))
        .unwrap_or_default();
    vec![
        String::new(),
        format!("see all:    slipway run logs {id}{stage}"),
        format!("try again:  slipway run retry {id}"),
    ]
}

/// A text in lines of at most `width`, broken between words; at most `limit` of them.
fn wrapped(text: &str, width: usize, limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in clean::lines(text) {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            // The first line also carries the stage's name.
            let room = if lines.is_empty() {
                width.saturating_sub(24)
            } else {
                width
            };
            if !line.is_empty()
                && console::measure_text_width(&line) + 1 + console::measure_text_width(word) > room
            {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    if lines.len() > limit {
        lines.truncate(limit);
        if let Some(last) = lines.last_mut() {
            last.push('…');
        }
    }
    lines
}
