//! How a run came to rest, and what to do next.

use proto::gateway::v1::Run;

use super::run::{screen, short_id};
use super::{Page, clean, failure};

/// The last screen of a run that is at rest.
#[must_use]
pub fn screen_of(run: &Run, page: &Page) -> String {
    let lines = match run.state.as_str() {
        "failed" => failure::screen(run, page),
        "cancelled" => with(screen(run, page), cancelled(run)),
        "waiting_for_approval" => with(screen(run, page), waiting(run)),
        "succeeded" => with(screen(run, page), succeeded(run)),
        _ => screen(run, page),
    };
    lines.join("\n")
}

fn with(mut lines: Vec<String>, more: Vec<String>) -> Vec<String> {
    if !more.is_empty() {
        lines.push(String::new());
        lines.extend(more);
    }
    lines
}

fn cancelled(run: &Run) -> Vec<String> {
    let why = clean::lines(&run.reason)
        .map(|line| format!("cancelled: {line}"))
        .take(1);
    why.chain([format!(
        "start again:  slipway run retry {}",
        short_id(&run.run_id)
    )])
    .collect()
}

/// The environments whose approval the run waits for.
pub(super) fn waits_for(run: &Run) -> impl Iterator<Item = &str> {
    let waiting = run
        .stages
        .iter()
        .filter(|s| s.state == "waiting_for_approval");
    waiting.filter_map(|s| s.name.split_once(':').map(|(_, environment)| environment))
}

fn waiting(run: &Run) -> Vec<String> {
    let id = short_id(&run.run_id);
    let mut lines = Vec::new();
    for environment in waits_for(run) {
        lines.push(format!(
            "agree:   slipway approve {id} --environment {environment}"
        ));
        lines.push(format!(
            "refuse:  slipway reject {id} --environment {environment} --reason '…'"
        ));
    }
    lines
}

fn succeeded(run: &Run) -> Vec<String> {
    let deployed = run
        .stages
        .iter()
        .filter_map(|s| s.name.strip_prefix("deploy:"))
        .next_back();
    let mut lines = Vec::new();
    if !run.image_digest.is_empty() {
        lines.push(format!("image:  {}", run.image_digest));
    }
    lines.extend(
        deployed.map(|environment| format!("see it: slipway environment show {environment}")),
    );
    lines
}
