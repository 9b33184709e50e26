//! What analyses found, and by what.

use proto::gateway::v1::{Rollout, RolloutEvidence, RolloutVerdict};

use crate::render::{Page, clean, duration};

/// Each verdict with all that it is based on.
pub(super) fn lines(rollout: &Rollout, verdicts: &[RolloutVerdict], page: &Page) -> Vec<String> {
    let of = |verdict: &RolloutVerdict| {
        let mut lines = vec![page.fit(&title(rollout, verdict, page))];
        lines.extend(verdict.evidence.iter().flat_map(|e| evidence(e, page)));
        lines
    };
    verdicts.iter().flat_map(of).collect()
}

/// `✘ fail in step 3 (bake 2m)`.
pub(super) fn title(rollout: &Rollout, verdict: &RolloutVerdict, page: &Page) -> String {
    let words = verdict.verdict.replace('_', " ");
    let words = match verdict.verdict.as_str() {
        "pass" => page.paint.good(&format!("✔ {words}")),
        "fail" | "error" => page.paint.bad(&format!("✘ {words}")),
        _ => page.paint.attention(&format!("? {words}")),
    };
    let index = (verdict.step as usize).saturating_sub(1);
    let name = rollout.steps.get(index).map_or("", |step| &step.name);
    let at = page
        .paint
        .dim(&duration::clock(verdict.at.as_ref(), page.now));
    format!("  {at}  {words} in step {} ({name})", verdict.step)
}

fn evidence(evidence: &RolloutEvidence, page: &Page) -> Vec<String> {
    let parts = [
        ("query", &evidence.query),
        ("values", &evidence.values),
        ("threshold", &evidence.threshold),
    ];
    let given = parts.iter().filter(|(_, text)| !text.is_empty());
    given
        .flat_map(|(name, text)| {
            clean::lines(text).enumerate().map(move |(index, line)| {
                let name = if index == 0 { *name } else { "" };
                let name = page.paint.dim(&format!("{name:<9}"));
                page.fit(&format!("      {name}  {line}"))
            })
        })
        .collect()
}
