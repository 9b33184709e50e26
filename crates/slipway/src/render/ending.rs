//! How a run came to rest, and what to do next.

use proto::gateway::v1::Run;

use super::run::{screen, short_id};
use super::{Page, clean, failure};

/// The last screen of a run that is at rest.
#[must_use]
pub fn screen_of(run: &Run, page: &Page) -> String {
    let lines = match run.state.as_str() {
        "failed" => failure::screen(run, page),
        "cancelled" | "waiting_for_approval" => with(screen(run, page), next_steps(run)),
        "succeeded" => with(screen(run, page), succeeded(run)),
        _ => screen(run, page),
    };
    lines.join("\n")
}

/// Why a run is at rest without having failed, and what a person may do about it.
#[must_use]
pub fn next_steps(run: &Run) -> Vec<String> {
    match run.state.as_str() {
        "cancelled" => cancelled(run),
        "waiting_for_approval" => waiting(run),
        _ => Vec::new(),
    }
}

fn with(mut lines: Vec<String>, more: Vec<String>) -> Vec<String> {
    if !more.is_empty() {
        lines.push(String::new());
        lines.extend(more);
    }
    lines
}

/// Why a run was cancelled, and what may be done.
fn cancelled(run: &Run) -> Vec<String> {
    let reason = clean::lines(&run.reason).next().unwrap_or_default();
    let why = if reason.starts_with("cancelled") {
        reason
    } else {
        format!("cancelled: {reason}")
    };
    let first = run.stages.iter().find(|s| s.state == "cancelled");
    let overtaken = first.and_then(|s| s.name.strip_prefix("deploy:"));
    let next = match overtaken {
        _ if run.retry_can_help => Some(format!(
            "start again:  slipway run retry {}",
            short_id(&run.run_id)
        )),
        Some(environment) => Some(format!(
            "see what runs there:  slipway environment show {environment}"
        )),
        None => failure::anew(run),
    };
    std::iter::once(why).chain(next).collect()
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

#[cfg(test)]
mod tests {
    use proto::gateway::v1::Stage;

    use super::*;

    fn run(reason: &str, stage: &str, retry_can_help: bool) -> String {
        let stage = Stage {
            name: stage.into(),
            state: "cancelled".into(),
            ..Stage::default()
        };
        let run = Run {
            run_id: "run-1".into(),
            kind: "change".into(),
            state: "cancelled".into(),
            service: "delivery".into(),
            repository: "/srv/shop".into(),
            commit: "1f3a9c2".into(),
            reason: reason.into(),
            stages: vec![stage],
            retry_can_help,
            ..Run::default()
        };
        next_steps(&run).join("\n")
    }

    #[test]
    fn a_cancelled_run_says_once_why_and_offers_what_can_help() {
        assert_eq!(
            run("cancelled by ada: wrong branch", "build", true),
            "cancelled by ada: wrong branch\nstart again:  slipway run retry run-1"
        );
        assert_eq!(
            run("a newer version was deployed here", "deploy:test", false),
            "cancelled: a newer version was deployed here\nsee what runs there:  slipway environment show test"
        );
        assert_eq!(
            run(
                "cancelled by slipway: 1.0.0 was released",
                "approve:production",
                false
            ),
            "cancelled by slipway: 1.0.0 was released\n\
             start anew: slipway run start --repository /srv/shop --ref 1f3a9c2 --service delivery"
        );
    }
}
