//! Runs: as a screen, as a line, as a list.

use proto::gateway::v1::{Run, Stage};

use super::table::table;
use super::{Page, clean, duration, ending, failure, graph};

/// The end of an id, which tells runs apart as well as the whole one does.
#[must_use]
pub fn short_id(run_id: &str) -> &str {
    const SHORT: usize = 8;
    if run_id.len() >= 32 && run_id.is_ascii() {
        &run_id[run_id.len() - SHORT..]
    } else {
        run_id
    }
}

/// `delivery 1.4.0`.
#[must_use]
pub fn title(run: &Run) -> String {
    if run.version.is_empty() {
        run.service.clone()
    } else {
        format!("{} {}", run.service, run.version)
    }
}

/// What a run is, in one line: ` delivery 1.4.0 · change · running 12s · run 5f2c8a1b`.
#[must_use]
pub fn headline(run: &Run, page: &Page) -> String {
    let state = format!(
        "{} {}",
        graph::words(&run.state),
        duration::of_run(run, page.now)
    );
    let state = match run.state.as_str() {
        "succeeded" => page.paint.good(&state),
        "failed" => page.paint.bad(&state),
        "waiting_for_approval" => page.paint.attention(&state),
        "running" => page.paint.active(&state),
        _ => state,
    };
    let kind = if run.environment.is_empty() {
        run.kind.clone()
    } else {
        format!("{} {}", run.kind, run.environment)
    };
    let (symbol, title) = (
        graph::symbol(&run.state, page),
        page.paint.strong(&title(run)),
    );
    let id = page.paint.dim(&format!("run {}", short_id(&run.run_id)));
    page.fit(&format!("{symbol} {title} · {kind} · {state} · {id}"))
}

/// Where a run comes from: `fix: Handle empty parcels (Ada, 1f3a9c2 on main)`.
#[must_use]
pub fn origin(run: &Run, page: &Page) -> Option<String> {
    let commit: String = run.commit.chars().take(7).collect();
    let place = match (commit.is_empty(), run.reference.is_empty()) {
        (false, false) if !run.reference.starts_with(&commit) => {
            format!("{commit} on {}", run.reference)
        }
        (false, _) => commit,
        (true, _) => run.reference.clone(),
    };
    let by: Vec<&str> = [run.author.as_str(), &place]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let text = match (run.subject.is_empty(), by.is_empty()) {
        (true, true) => return None,
        (true, false) => by.join(", "),
        (false, true) => run.subject.clone(),
        (false, false) => format!("{} ({})", run.subject, by.join(", ")),
    };
    Some(page.fit(&page.paint.dim(&format!("  {}", clean::line(&text)))))
}

/// The run with its stages.
#[must_use]
pub fn screen(run: &Run, page: &Page) -> Vec<String> {
    let mut lines = vec![headline(run, page)];
    lines.extend(origin(run, page));
    lines.extend(graph::lines(run, page));
    lines.extend(troubles(run, page));
    lines.extend(paused(run, page));
    lines
}

/// What to do about rollouts that wait for a person.
fn paused(run: &Run, page: &Page) -> Vec<String> {
    let is_paused = |stage: &&Stage| stage.rollout.as_ref().is_some_and(|r| r.is_paused);
    let of_stage = |stage: &Stage| {
        let environment = stage.name.split_once(':').map_or("", |(_, e)| e);
        let of = format!("{} --in {environment}", run.service);
        [
            format!("  go on:    slipway rollout promote {of}"),
            format!("  look:     slipway rollout show {of}"),
        ]
    };
    let waiting = run.stages.iter().filter(is_paused).flat_map(of_stage);
    waiting
        .map(|line| page.fit(&page.paint.attention(&line)))
        .collect()
}

/// What the stages that are tried again soon broke at.
fn troubles(run: &Run, page: &Page) -> Vec<String> {
    let waiting = run.stages.iter().filter(|s| s.tried_again_at.is_some());
    let of_stage = |stage: &Stage| {
        let about = page.paint.attention(&format!("{}:", stage.name));
        failure::why(&format!("  {about}"), &stage.reason, page)
    };
    waiting.flat_map(of_stage).collect()
}

/// Several runs that go on at the same time, on one screen: as much of each as there is room for.
#[must_use]
pub fn screens(runs: &[&Run], page: &Page) -> Vec<String> {
    let mut full: Vec<String> = Vec::new();
    for run in runs {
        if !full.is_empty() {
            full.push(String::new());
        }
        full.extend(screen(run, page));
    }
    if full.len() < page.height {
        return full;
    }
    let mut lines: Vec<String> = runs.iter().map(|run| brief(run, page)).collect();
    if lines.len() >= page.height {
        lines.truncate(page.height.saturating_sub(2));
        lines.push(format!("  … and {} more runs", runs.len() - lines.len()));
    }
    lines
}

/// The run and what it does now, in one line.
fn brief(run: &Run, page: &Page) -> String {
    let active = |state: &str| matches!(state, "running" | "queued" | "waiting_for_approval");
    let now: Vec<&str> = run
        .stages
        .iter()
        .filter(|s| active(&s.state))
        .map(|s| s.name.as_str())
        .collect();
    page.fit(&format!(
        "{} · {}",
        headline(run, page),
        page.paint.dim(&now.join(", "))
    ))
}

/// The run as `run show` prints it.
#[must_use]
pub fn show(run: &Run, page: &Page) -> String {
    let mut lines = screen(run, page);
    lines.push(String::new());
    let mut fact = |name: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!(
                "  {} {}",
                page.paint.dim(&format!("{name:<11}")),
                clean::line(text)
            ));
        }
    };
    fact("run", &run.run_id);
    fact("repository", &run.repository);
    fact("commit", &run.commit);
    fact("image", &run.image_digest);
    fact(
        "version",
        [run.version.as_str(), &run.version_because]
            .join("  ")
            .trim(),
    );
    fact(
        "started by",
        [run.actor.as_str(), &run.via]
            .join(", ")
            .trim_matches([',', ' ']),
    );
    for review in &run.reviews {
        let verb = if review.approved {
            "approved"
        } else {
            "rejected"
        };
        let why = if review.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", review.reason)
        };
        fact(
            verb,
            &format!("{} by {}{why}", review.environment, review.by),
        );
    }
    let next = ending::next_steps(run);
    if !next.is_empty() {
        lines.push(String::new());
        lines.extend(next);
    }
    lines.join("\n")
}

/// The runs as `run list` prints them.
#[must_use]
pub fn list(runs: &[Run], page: &Page) -> String {
    if runs.is_empty() {
        return "There are no runs. Start one with: slipway run start --repository . --ref main"
            .to_owned();
    }
    let row = |run: &Run| {
        vec![
            format!(
                "{} {}",
                graph::symbol(&run.state, page),
                short_id(&run.run_id)
            ),
            run.service.clone(),
            run.version.clone(),
            run.kind.clone(),
            graph::words(&run.state),
            duration::of_run(run, page.now),
            duration::ago(run.created_at.as_ref(), page.now),
            page.paint.dim(&clean::line(if run.reason.is_empty() {
                &run.subject
            } else {
                &run.reason
            })),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    table(
        &[
            "  RUN", "SERVICE", "VERSION", "KIND", "STATE", "TOOK", "STARTED", "ABOUT",
        ],
        &rows,
        page,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_id_is_quoted_by_its_end() {
        assert_eq!(short_id("019a0b6e-6d1c-7c3e-9a51-0f225f2c8a1b"), "5f2c8a1b");
        assert_eq!(short_id("delivery-42"), "delivery-42");
    }
}
