//! What changed between two looks at a rollout: one line each, for logs of other programs and for pipes.

use proto::gateway::v1::{Rollout, RolloutRequested};

use super::{share, step, symbol, verdicts, versions, why, words};
use crate::output::time::instant;
use crate::render::{Page, clean, duration};

/// The lines for what is new in `now` since `before`.
#[must_use]
pub fn lines(before: Option<&Rollout>, now: &Rollout, page: &Page) -> Vec<String> {
    let mut lines = Vec::new();
    let seen = before.map_or(0, |old| old.verdicts.len());
    for verdict in now.verdicts.iter().skip(seen) {
        lines.push(verdicts::title(now, verdict, page).trim_start().to_owned());
        for evidence in &verdict.evidence {
            let (query, values) = (clean::line(&evidence.query), clean::line(&evidence.values));
            let threshold = clean::line(&evidence.threshold);
            lines.push(format!("          {query}: {values} (limit: {threshold})"));
        }
    }
    let seen = before.map_or(now.requests.len(), |old| old.requests.len());
    lines.extend(now.requests.iter().skip(seen).map(|r| request(r, page)));
    let is_new = before.is_none_or(|old| {
        (old.step, &old.state, old.weight.to_bits()) != (now.step, &now.state, now.weight.to_bits())
    });
    if is_new {
        lines.push(standing(now, page));
    }
    lines
}

fn request(request: &RolloutRequested, page: &Page) -> String {
    let at = duration::clock(request.at.as_ref(), page.now);
    let who = match request.by.as_str() {
        "" => "the rollout".to_owned(),
        name => clean::line(name),
    };
    let what = request.what.replace('_', " ");
    format!("{}  {what} by {who}", page.paint.dim(&at))
}

/// `12:00:17  ● delivery 1.3.2 → 1.4.0 running, step 3 of 5 (bake 2m), 10%`.
fn standing(rollout: &Rollout, page: &Page) -> String {
    let of_steps = rollout
        .steps
        .iter()
        .flat_map(|s| [&s.entered_at, &s.left_at]);
    let of_requests = rollout.requests.iter().map(|r| &r.at);
    let last = of_steps
        .chain(of_requests)
        .chain([&rollout.ended_at])
        .filter_map(|at| instant(at.as_ref()).zip(at.as_ref()))
        .max_by_key(|(at, _)| *at)
        .map(|(_, at)| at);
    let at = page.paint.dim(&duration::clock(last, page.now));
    let (symbol, state) = (symbol(&rollout.state, page), words(&rollout.state));
    let mut text = format!(
        "{at}  {symbol} {} {} in {} {state}, step {}, {} of the traffic",
        rollout.service,
        versions(rollout),
        rollout.environment,
        step(rollout),
        share(rollout.weight)
    );
    let why = why(rollout);
    if !why.is_empty() {
        text.push_str(&format!("; {why}"));
    }
    text
}
