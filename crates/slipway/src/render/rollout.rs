//! Rollouts: as a screen, as a list, and what may be done about one.

pub mod change;
mod steps;
mod verdicts;

use proto::gateway::v1::{Rollout, RolloutRequested};

use super::run::short_id;
use super::table::table;
use super::{Page, clean, duration};

/// Verdicts on a live screen, the newest.
const VERDICTS_LIVE: usize = 3;
/// Cells of the bar.
const BAR: u32 = 30;

/// The rollout as `rollout show` prints it.
#[must_use]
pub fn show(rollout: &Rollout, page: &Page) -> String {
    let mut lines = head(rollout, page);
    lines.push(String::new());
    lines.extend(steps::lines(rollout, page));
    lines.extend(block(requests(rollout, page)));
    lines.extend(block(verdicts::lines(rollout, &rollout.verdicts, page)));
    lines.extend(block(facts(rollout, page)));
    lines.extend(block(next_steps(rollout)));
    lines.join("\n")
}

/// The rollout live: as much as there is room for.
#[must_use]
pub fn screen(rollout: &Rollout, page: &Page) -> Vec<String> {
    let newest = rollout.verdicts.len().saturating_sub(VERDICTS_LIVE);
    let verdicts = verdicts::lines(rollout, &rollout.verdicts[newest..], page);
    let mut lines = head(rollout, page);
    lines.extend(steps::lines(rollout, page));
    let next: Vec<String> = next_steps(rollout).iter().map(|l| page.fit(l)).collect();
    // What to do comes before why, where there is room for only one.
    let room = page.height.saturating_sub(lines.len() + next.len());
    if verdicts.len() <= room {
        lines.extend(verdicts);
    }
    lines.extend(next);
    lines.truncate(page.height);
    lines
}

/// What a request made of a rollout.
#[must_use]
pub fn brief(rollout: &Rollout, page: &Page) -> String {
    let mut lines = head(rollout, page);
    lines.extend(block(next_steps(rollout)));
    lines.join("\n")
}

/// The rollouts as `rollout list` prints them.
#[must_use]
pub fn list(rollouts: &[Rollout], page: &Page) -> String {
    if rollouts.is_empty() {
        return "There are no rollouts. One begins with each deploy stage of a run.".to_owned();
    }
    let row = |rollout: &Rollout| {
        vec![
            format!("{} {}", symbol(&rollout.state, page), rollout.service),
            rollout.environment.clone(),
            versions(rollout),
            words(&rollout.state),
            step(rollout),
            share(rollout.weight),
            duration::ago(rollout.started_at.as_ref(), page.now),
            short_id(&rollout.run_id).to_owned(),
            page.paint.dim(&why(rollout)),
        ]
    };
    let rows: Vec<Vec<String>> = rollouts.iter().map(row).collect();
    let header = [
        "  SERVICE",
        "ENVIRONMENT",
        "VERSION",
        "STATE",
        "STEP",
        "TRAFFIC",
        "STARTED",
        "RUN",
        "ABOUT",
    ];
    table(&header, &rows, page)
}

/// What may be asked for now, as commands.
#[must_use]
pub fn next_steps(rollout: &Rollout) -> Vec<String> {
    let (service, environment) = (&rollout.service, &rollout.environment);
    let may = |what: &str| rollout.possible.iter().any(|possible| possible == what);
    let offers: &[(&str, &str, &str, &str)] = match rollout.state.as_str() {
        "running" => &[
            ("pause", "let it wait", "pause", " --reason '…'"),
            ("promote", "next step", "promote", ""),
            ("abort", "take it back", "abort", " --reason '…'"),
        ],
        "paused" => &[
            ("resume", "go on", "resume", ""),
            ("promote", "next step", "promote", ""),
            ("promote_full", "all at once", "promote", " --full"),
            ("retry", "begin again", "retry", ""),
            ("abort", "take it back", "abort", " --reason '…'"),
        ],
        "aborting" => &[("retry", "begin again", "retry", "")],
        _ => &[],
    };
    let mut lines: Vec<String> = offers
        .iter()
        .filter(|(what, ..)| may(what))
        .map(|(_, title, command, more)| {
            let title = format!("{title}:");
            format!("{title:<14}slipway rollout {command} {service} --in {environment}{more}")
        })
        .collect();
    match rollout.state.as_str() {
        "rolled_back" => lines.push(format!(
            "begin again:  slipway run retry {}",
            short_id(&rollout.run_id)
        )),
        "completed" => lines.push(format!(
            "see it:       slipway environment show {environment}"
        )),
        _ => {}
    }
    lines
}

/// What it is, why it is so, and where the traffic goes.
fn head(rollout: &Rollout, page: &Page) -> Vec<String> {
    let mut lines = vec![headline(rollout, page)];
    let reason = why(rollout);
    if !reason.is_empty() {
        lines.push(page.fit(&format!("  {reason}")));
    }
    lines.push(traffic(rollout, page));
    lines
}

fn headline(rollout: &Rollout, page: &Page) -> String {
    let (symbol, title) = (
        symbol(&rollout.state, page),
        page.paint
            .strong(&format!("{} {}", rollout.service, versions(rollout))),
    );
    let took = duration::between(
        rollout.started_at.as_ref(),
        rollout.ended_at.as_ref(),
        page.now,
    );
    let state = colored(
        &rollout.state,
        &format!("{} {took}", words(&rollout.state)),
        page,
    );
    let kind = if rollout.is_rollback {
        "rollback in "
    } else {
        ""
    };
    let id = page
        .paint
        .dim(&format!("run {}", short_id(&rollout.run_id)));
    page.fit(&format!(
        "{symbol} {title} · {kind}{} · {state} · {id}",
        rollout.environment
    ))
}

/// `1.3.2 → 1.4.0`.
fn versions(rollout: &Rollout) -> String {
    if rollout.previous_version.is_empty() {
        rollout.version.clone()
    } else {
        format!("{} → {}", rollout.previous_version, rollout.version)
    }
}

/// Why it is in its state, in one line; empty if there is nothing to say.
fn why(rollout: &Rollout) -> String {
    let asked = |verb: &str, by: Option<&RolloutRequested>| {
        let Some(by) = by else {
            return String::new();
        };
        let who = match by.by.as_str() {
            "" => String::new(),
            name => format!(" by {}", clean::line(name)),
        };
        match clean::lines(&by.reason).next() {
            // The gateway's own words where nobody gave a reason.
            Some(reason) if reason != format!("{verb}{who}") => format!("{verb}{who}: {reason}"),
            _ => format!("{verb}{who}"),
        }
    };
    match rollout.state.as_str() {
        "paused" => asked("paused", rollout.paused.as_ref()),
        "aborting" => asked("aborted", rollout.abort.as_ref()),
        "rolled_back" | "restored" => clean::lines(&rollout.reason).next().unwrap_or_default(),
        _ => String::new(),
    }
}

/// `██████░░░░ 10% of the traffic goes to 1.4.0, on its way to 50%`.
fn traffic(rollout: &Rollout, page: &Page) -> String {
    let full = cells(rollout.weight);
    let goal = cells(rollout.goal_weight).max(full);
    let repeat = |sign: &str, count: u32| sign.repeat(count as usize);
    let bar = format!(
        "{}{}{}",
        colored(&rollout.state, &repeat("█", full), page),
        page.paint.dim(&repeat("▒", goal - full)),
        page.paint.dim(&repeat("░", BAR - goal))
    );
    let mut text = format!(
        "{} of the traffic to {}",
        share(rollout.weight),
        rollout.version
    );
    if share(rollout.goal_weight) != share(rollout.weight) {
        text.push_str(&format!(", on its way to {}", share(rollout.goal_weight)));
    }
    page.fit(&format!("  {bar} {text}"))
}

/// Cells of the bar for a share in percent; some traffic is never none, and not all is never all.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between 0 and the bar's length"
)]
fn cells(percent: f64) -> u32 {
    if percent <= 0.0 {
        0
    } else if percent >= 100.0 {
        BAR
    } else {
        ((percent / 100.0 * f64::from(BAR)).round() as u32).clamp(1, BAR - 1)
    }
}

/// `10%`, `0.5%`.
fn share(percent: f64) -> String {
    let text = format!("{percent:.2}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `2 of 5 (pause)`.
fn step(rollout: &Rollout) -> String {
    let index = (rollout.step as usize).saturating_sub(1);
    match rollout.steps.get(index) {
        Some(step) => format!(
            "{} of {} ({})",
            rollout.step,
            rollout.steps.len(),
            step.name
        ),
        None => String::new(),
    }
}

/// What was asked for, and by whom.
fn requests(rollout: &Rollout, page: &Page) -> Vec<String> {
    let line = |request: &RolloutRequested| {
        let who = match request.by.as_str() {
            "" => "the rollout".to_owned(),
            name => clean::line(name),
        };
        let reason = clean::lines(&request.reason).next().unwrap_or_default();
        let at = duration::clock(request.at.as_ref(), page.now);
        let what = request.what.replace('_', " ");
        let text = format!("  {}  {what} by {who}", page.paint.dim(&at));
        match reason.as_str() {
            "" => text,
            reason => format!("{text}: {reason}"),
        }
    };
    rollout.requests.iter().map(line).collect()
}

fn facts(rollout: &Rollout, page: &Page) -> Vec<String> {
    let facts = [
        ("run", rollout.run_id.clone()),
        ("image", rollout.image_digest.clone()),
        ("address", rollout.address.clone()),
        (
            "started",
            format!(
                "{} UTC",
                duration::clock(rollout.started_at.as_ref(), page.now)
            ),
        ),
        ("on failure", rollout.on_failure.clone()),
    ];
    let shown = facts.iter().filter(|(_, text)| !text.is_empty());
    shown
        .map(|(name, text)| {
            let name = page.paint.dim(&format!("{name:<11}"));
            format!("  {name} {}", clean::line(text))
        })
        .collect()
}

/// The lines below a blank one, if there are any.
fn block(lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    std::iter::once(String::new()).chain(lines).collect()
}

fn words(state: &str) -> String {
    state.replace('_', " ")
}

fn symbol(state: &str, page: &Page) -> String {
    let sign = match state {
        "running" => "●",
        "paused" => "‖",
        "aborting" | "restoring" => "↩",
        "completed" => "✔",
        _ => "✘",
    };
    colored(state, sign, page)
}

fn colored(state: &str, text: &str, page: &Page) -> String {
    match state {
        "running" => page.paint.active(text),
        "completed" => page.paint.good(text),
        "rolled_back" | "restored" => page.paint.bad(text),
        _ => page.paint.attention(text),
    }
}

#[cfg(test)]
mod tests {
    use proto::gateway::v1::{RolloutEvidence, RolloutStep, RolloutVerdict};

    use super::*;

    #[test]
    fn a_live_screen_fits_and_says_what_to_do_first() {
        let step = |name: &str| RolloutStep {
            name: name.into(),
            ..RolloutStep::default()
        };
        let verdict = RolloutVerdict {
            step: 1,
            verdict: "inconclusive".into(),
            evidence: vec![RolloutEvidence {
                query: "a long query ".repeat(20),
                values: "0.01\n0.02".into(),
                threshold: "0.05".into(),
            }],
            at: None,
        };
        let rollout = Rollout {
            service: "delivery".into(),
            environment: "production".into(),
            state: "paused".into(),
            steps: vec![step("10%"), step("bake 2m")],
            verdicts: vec![verdict; 5],
            possible: vec!["resume".into(), "abort".into()],
            ..Rollout::default()
        };
        for (height, lines, has_verdicts) in [(40, 21, true), (10, 6, false), (4, 4, false)] {
            let page = Page {
                paint: crate::render::paint::Paint::new(false),
                width: 60,
                height,
                now: jiff::Timestamp::UNIX_EPOCH,
            };
            let screen = screen(&rollout, &page);
            assert_eq!(screen.len(), lines, "{screen:#?}");
            let fits = |line: &String| console::measure_text_width(line) <= 60;
            assert!(screen.iter().all(fits), "{screen:#?}");
            let text = screen.join("\n");
            assert_eq!(text.contains("threshold"), has_verdicts, "{text}");
            assert_eq!(text.contains("rollout resume"), height > 4, "{text}");
        }
    }

    #[test]
    fn shares_are_short_and_never_nothing_by_rounding() {
        assert_eq!(share(10.0), "10%");
        assert_eq!(share(0.5), "0.5%");
        assert_eq!(share(100.0), "100%");
        assert_eq!((cells(0.0), cells(0.1), cells(50.0)), (0, 1, 15));
        assert_eq!((cells(99.9), cells(100.0)), (29, 30));
    }
}
