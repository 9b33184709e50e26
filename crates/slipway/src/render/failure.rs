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
    lines.extend(stages(run, limit, page));
    let stage = culprit(run);
    if run.stages.is_empty() {
        lines.extend(refusal(run, limit, page));
        return lines;
    }
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

/// Why the commit did not become a planned run. The text has its own layout, with underlined places, and is left as it
/// is.
fn refusal(run: &Run, limit: usize, page: &Page) -> Vec<String> {
    let mut lines = vec![String::new()];
    let text = clean::lines(&run.reason).map(|line| page.fit(&line));
    lines.extend(text.take(limit.saturating_sub(6)));
    lines.push(String::new());
    let reference = if run.reference.is_empty() {
        String::new()
    } else {
        format!(" --ref {}", run.reference)
    };
    lines.push(format!(
        "when it is mended:  slipway run start --repository {}{reference}",
        run.repository
    ));
    lines
}

/// The stages up to the red ones; what did not begin any more is one line, and so is what went well where lines are few.
fn stages(run: &Run, limit: usize, page: &Page) -> Vec<String> {
    let never = |stage: &&Stage| {
        stage.started_at.is_none() && matches!(stage.state.as_str(), "pending" | "cancelled")
    };
    let well = |stage: &&Stage| matches!(stage.state.as_str(), "succeeded" | "skipped");
    let (left, begun): (Vec<&Stage>, Vec<&Stage>) = run.stages.iter().partition(never);
    // The stages may take a third of the screen; the rest is for why.
    let (good, shown): (Vec<&Stage>, Vec<&Stage>) = if begun.len() > limit / 3 {
        begun.into_iter().partition(well)
    } else {
        (Vec::new(), begun)
    };
    let count = |sign: &str, stages: &[&Stage], what: &str| {
        let noun = if stages.len() == 1 { "stage" } else { "stages" };
        let text = format!("  {sign} {} {noun} {what}", stages.len());
        (!stages.is_empty()).then(|| page.paint.dim(&text))
    };
    let shown = Run {
        stages: shown.into_iter().cloned().collect(),
        ..run.clone()
    };
    let before = count("✔", &good, "went well");
    let after = count("–", &left, "did not run");
    before
        .into_iter()
        .chain(graph::lines(&shown, page))
        .chain(after)
        .collect()
}

fn reason(run: &Run, stage: Option<&Stage>, page: &Page) -> Vec<String> {
    let of_stage = stage.map(|s| s.reason.as_str()).filter(|r| !r.is_empty());
    let reason = of_stage.unwrap_or(&run.reason);
    let first = stage.map_or("why", |s| s.name.as_str());
    let mut lines = vec![String::new()];
    lines.extend(why(&page.paint.bad(&format!("{first}:")), reason, page));
    lines
}

/// A reason behind what it is about, in a few lines.
pub(super) fn why(about: &str, reason: &str, page: &Page) -> Vec<String> {
    let lines = wrapped(reason, page.width.saturating_sub(2), REASON_LINES);
    let about = std::iter::once(about).chain(std::iter::repeat(" "));
    about
        .zip(lines)
        .map(|(about, line)| page.fit(&format!("{about} {line}")))
        .collect()
}

/// The failing tests, with what they said as far as `room` lines allow while some output can still be shown. The first
/// is always named.
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
            .take(MESSAGE_LINES)
            .collect();
        if index == 0 {
            lines.push(String::new());
        } else if index == TESTS || lines.len() + message.len() + 2 > room {
            let more = stage.failed_tests.len() - index;
            let noun = if more == 1 { "test" } else { "tests" };
            lines.push(page.paint.dim(&format!("  and {more} more failing {noun}")));
            break;
        }
        let name = page.paint.strong(&clean::line(&test.name));
        lines.push(page.fit(&format!("  {} {name}", page.paint.bad("✘"))));
        let left = room.saturating_sub(lines.len() + 1);
        let message = message.iter().take(left);
        lines.extend(message.map(|line| page.fit(&format!("      {line}"))));
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

/// What to do next.
fn commands(run: &Run, stage: Option<&Stage>) -> Vec<String> {
    let id = short_id(&run.run_id);
    let is_approval = stage.is_some_and(|s| s.name.starts_with("approve:"));
    let mut lines = vec![String::new()];
    // People's decisions print nothing.
    if !is_approval {
        let stage = stage
            .map(|s| format!(" --stage {}", s.name))
            .unwrap_or_default();
        lines.push(format!("see all:    slipway run logs {id}{stage}"));
    }
    if !run.retry_can_help {
        lines.extend(anew(run));
    } else if is_approval {
        lines.push(format!("ask again:  slipway run retry {id}"));
    } else {
        lines.push(format!("try again:  slipway run retry {id}"));
    }
    lines
}

/// A new run of the same commit, for a run that can't end otherwise any more.
pub(super) fn anew(run: &Run) -> Option<String> {
    (run.kind == "change" && !run.repository.is_empty() && !run.commit.is_empty()).then(|| {
        format!(
            "start anew: slipway run start --repository {} --ref {} --service {}",
            run.repository, run.commit, run.service
        )
    })
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

#[cfg(test)]
mod tests {
    use proto::gateway::v1::FailedTest;

    use super::*;
    use crate::render::paint::Paint;

    fn stage(number: usize, state: &str) -> Stage {
        Stage {
            name: format!("stage-{number}"),
            state: state.into(),
            started_at: Some(prost_types::Timestamp::default()),
            ..Stage::default()
        }
    }

    fn red(stages_before: usize) -> Run {
        let mut stages: Vec<Stage> = (0..stages_before).map(|n| stage(n, "succeeded")).collect();
        let mut culprit = stage(stages_before, "failed");
        culprit.reason = "many words that say what happened and what to do ".repeat(20);
        culprit.failed_tests = (0..20)
            .map(|n| FailedTest {
                name: format!("test_{n}"),
                message: "a line\n".repeat(30),
            })
            .collect();
        culprit.last_lines = (0..20)
            .map(|n| format!("line {n} {}", "x".repeat(300)))
            .collect();
        stages.push(culprit);
        Run {
            run_id: "run-1".into(),
            state: "failed".into(),
            retry_can_help: true,
            stages,
            ..Run::default()
        }
    }

    #[test]
    fn everything_that_matters_fits_on_one_screen() {
        for height in [10, 24, 30, 40, 100] {
            for stages_before in [0, 3, 12] {
                let page = Page {
                    paint: Paint::new(false),
                    width: 80,
                    height,
                    now: jiff::Timestamp::UNIX_EPOCH,
                };
                let lines = screen(&red(stages_before), &page);
                let text = lines.join("\n");
                assert!(lines.len() < height.clamp(24, 40), "{height}: {text}");
                assert!(lines.iter().all(|l| console::measure_text_width(l) <= 80));
                let command = format!("slipway run logs run-1 --stage stage-{stages_before}");
                for needed in ["many words", "✘ test_0", "│ line 19", command.as_str()] {
                    assert!(text.contains(needed), "{height}, {needed}: {text}");
                }
            }
        }
    }
    fn commands_of(stage: &str, retry_can_help: bool) -> String {
        let run = Run {
            run_id: "run-1".into(),
            kind: "change".into(),
            service: "delivery".into(),
            repository: "/srv/shop".into(),
            commit: "1f3a9c2".into(),
            retry_can_help,
            ..Run::default()
        };
        let stage = Stage {
            name: stage.into(),
            state: "failed".into(),
            ..Stage::default()
        };
        commands(&run, Some(&stage)).join("\n")
    }

    #[test]
    fn trying_again_is_offered_only_where_it_can_help() {
        assert_eq!(
            commands_of("unit-test", true),
            "\nsee all:    slipway run logs run-1 --stage unit-test\ntry again:  slipway run retry run-1"
        );
        assert_eq!(
            commands_of("promote", false),
            "\nsee all:    slipway run logs run-1 --stage promote\n\
             start anew: slipway run start --repository /srv/shop --ref 1f3a9c2 --service delivery"
        );
    }

    #[test]
    fn an_approval_has_no_logs_and_can_be_asked_for_again() {
        assert_eq!(
            commands_of("approve:production", true),
            "\nask again:  slipway run retry run-1"
        );
    }
}
