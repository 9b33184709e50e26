//! The section `deploy` from the tree.

use indexmap::IndexMap;

use super::super::deploy::{Deploy, EnvironmentOverrides};
use super::super::secret::EnvValue;
use super::super::strategy::{Batch, BlueGreen, Canary, CanaryStep, Rolling, Strategy};
use super::super::units::Percent;
use super::analysis::analysis;
use super::test::readiness;
use super::traffic::{router, sticky, testers};
use super::{label_text, resources, secret};
use crate::diagnostic::nearest;
use crate::document::{Entry, Fields, Reader, Value, refuse_both};
use crate::ids::EnvironmentName;

const STRATEGIES: [&str; 3] = ["rolling", "blue_green", "canary"];

pub(super) fn deploy(r: &mut Reader<'_>, root: &Fields<'_>) -> Option<Deploy> {
    let known = [
        "port",
        "replicas",
        "ready",
        "env",
        "resources",
        "strategy",
        "manifests",
        "drain",
        "deadline",
        "environments",
    ];
    let fields = r.section(root, "deploy", &known)?;
    let environments = r.named(&fields, "environments", |r, entry, what| {
        let name: EnvironmentName = label_text(r, entry.key_span.clone(), what, &entry.key)?;
        Some((name, overrides(r, entry, what)?))
    });
    Some(Deploy {
        port: r.port(&fields, "port"),
        replicas: r.number(&fields, "replicas", 1, 1000).unwrap_or(1),
        ready: readiness(r, &fields, true),
        env: env(r, &fields),
        resources: resources(r, &fields).unwrap_or_default(),
        strategy: strategy(r, &fields).unwrap_or_default(),
        manifests: r.path(&fields, "manifests"),
        drain: r.parsed(&fields, "drain"),
        deadline: r.parsed(&fields, "deadline"),
        environments: environments.into_values().collect(),
    })
}

fn overrides(r: &mut Reader<'_>, entry: &Entry, what: &str) -> Option<EnvironmentOverrides> {
    let fields = r.fields(
        &entry.value,
        what,
        &["replicas", "env", "resources", "strategy"],
    )?;
    Some(EnvironmentOverrides {
        replicas: r.number(&fields, "replicas", 1, 1000),
        env: env(r, &fields),
        resources: resources(r, &fields),
        strategy: strategy(r, &fields),
    })
}

fn env(r: &mut Reader<'_>, fields: &Fields<'_>) -> IndexMap<String, EnvValue> {
    r.named(fields, "env", value_or_secret)
}

/// Text, or `{ secret: env:NAME }`.
pub(super) fn value_or_secret(r: &mut Reader<'_>, entry: &Entry, what: &str) -> Option<EnvValue> {
    let Value::Map(_) = &entry.value.value else {
        return r.value(&entry.value, what).map(EnvValue::Text);
    };
    let fields = r.fields(&entry.value, what, &["secret"])?;
    if fields.get("secret").is_none() {
        r.missing(&fields, "secret", "secret: env:NAME");
    }
    let secret = secret(r, fields.get("secret")?, &fields.path("secret"))?;
    Some(EnvValue::Secret { secret })
}

fn strategy(r: &mut Reader<'_>, parent: &Fields<'_>) -> Option<Strategy> {
    let what = parent.path("strategy");
    let node = parent.get("strategy")?;
    if let Value::Scalar { text, .. } = &node.value {
        return match text.as_str() {
            "rolling" => Some(Strategy::Rolling(Rolling::default())),
            "blue_green" => Some(Strategy::BlueGreen(BlueGreen::default())),
            "canary" => Some(Strategy::Canary(Canary::default())),
            other => {
                let near = nearest(&other.replace('-', "_"), STRATEGIES);
                let help = near.map(|n| format!("did you mean `{n}`?"));
                let message = format!("`{what}`: there is no strategy {other:?}");
                let error = r.source.error(node.span.clone(), message);
                r.push(
                    error
                        .help("the strategies are `rolling`, `blue_green` and `canary`")
                        .maybe_help(help),
                );
                None
            }
        };
    }
    let fields = r.section(parent, "strategy", &STRATEGIES)?;
    for (index, one) in STRATEGIES.iter().enumerate() {
        for other in &STRATEGIES[index + 1..] {
            if refuse_both(r, &fields, one, other) {
                return None;
            }
        }
    }
    if let Some(rolling) = r.section(&fields, "rolling", &ROLLING) {
        return self::rolling(r, &rolling).map(Strategy::Rolling);
    }
    if let Some(blue_green) = r.section(&fields, "blue_green", &BLUE_GREEN) {
        let default = BlueGreen::default();
        return Some(Strategy::BlueGreen(BlueGreen {
            monitor: r.parsed(&blue_green, "monitor").unwrap_or(default.monitor),
            keep_old: r
                .parsed(&blue_green, "keep_old")
                .unwrap_or(default.keep_old),
            analysis: analysis(r, &blue_green),
            on_failure: r.parsed(&blue_green, "on_failure").unwrap_or_default(),
        }));
    }
    if let Some(canary) = r.section(&fields, "canary", &CANARY) {
        let steps = steps(r, &canary);
        let canary = Canary {
            steps: Vec::new(),
            analysis: analysis(r, &canary),
            on_failure: r.parsed(&canary, "on_failure").unwrap_or_default(),
            router: router(r, &canary).map(Box::new),
            testers: testers(r, &canary),
            sticky: sticky(r, &canary),
        };
        return Some(Strategy::Canary(Canary {
            steps: steps?,
            ..canary
        }));
    }
    if STRATEGIES.iter().all(|s| fields.entry(s).is_none()) {
        r.error_help(
            fields.span,
            format!("`{what}` names no strategy"),
            "add one of `rolling`, `blue_green` and `canary`",
        );
    }
    None
}

const ROLLING: [&str; 3] = ["max_surge", "max_unavailable", "min_ready"];
const BLUE_GREEN: [&str; 4] = ["monitor", "keep_old", "analysis", "on_failure"];
const CANARY: [&str; 6] = [
    "steps",
    "analysis",
    "on_failure",
    "router",
    "testers",
    "sticky",
];

fn rolling(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Rolling> {
    let default = Rolling::default();
    let max_surge = batch(r, fields, "max_surge").unwrap_or(default.max_surge);
    let max_unavailable = batch(r, fields, "max_unavailable").unwrap_or(default.max_unavailable);
    if max_surge.of(100) == 0 && max_unavailable.of(100) == 0 {
        let message = format!(
            "`{}` may neither start a replica more nor stop one",
            fields.what
        );
        r.error_help(
            fields.span.clone(),
            message,
            "make `max_surge` or `max_unavailable` more than 0",
        );
        return None;
    }
    Some(Rolling {
        max_surge,
        max_unavailable,
        min_ready: r.parsed(fields, "min_ready"),
    })
}

fn batch(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<Batch> {
    match &fields.get(key)?.value {
        Value::Scalar { text, .. } if text.ends_with('%') => {
            r.parsed(fields, key).map(Batch::Share)
        }
        _ => r.number(fields, key, 0, 1000).map(Batch::Count),
    }
}

/// The steps of a canary: weights grow, and the last step is 100%.
fn steps(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Vec<CanaryStep>> {
    let Some(nodes) = r.elements(fields, "steps") else {
        return Some(Canary::default().steps);
    };
    let what = fields.path("steps");
    let mut steps: Vec<CanaryStep> = Vec::new();
    let mut highest: Option<(Percent, std::ops::Range<usize>)> = None;
    let mut sound = true;
    for node in nodes {
        // A bare number is nearly always a weight without its sign.
        if let Value::Scalar { text, .. } = &node.value
            && !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
        {
            r.error_help(
                node.span.clone(),
                format!("`{what}`: {text:?} has no unit"),
                format!("for a weight write `{text}%`"),
            );
            sound = false;
            continue;
        }
        let Some(step) = r.parsed_at(node, &what) else {
            sound = false;
            continue;
        };
        if let CanaryStep::Weight(weight) = step {
            if let Some((before, span)) = highest.as_ref().filter(|(before, _)| weight <= *before) {
                let message = format!("`{what}`: the weight {weight} does not come after {before}");
                let error = r
                    .source
                    .error(node.span.clone(), message)
                    .related(span.clone(), "not more than this");
                r.push(error.help("weights must grow from step to step"));
                sound = false;
            }
            highest = Some((weight, node.span.clone()));
        }
        steps.push(step);
    }
    if sound && steps.last() != Some(&CanaryStep::Weight(Percent::ALL)) {
        let span = nodes
            .last()
            .map_or_else(|| fields.span.clone(), |node| node.span.clone());
        r.error_help(
            span,
            format!("`{what}` must end with `100%`"),
            "add `100%` as the last step",
        );
        sound = false;
    }
    sound.then_some(steps)
}
