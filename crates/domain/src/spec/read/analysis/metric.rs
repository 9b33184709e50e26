//! The list `metrics` from the tree.

use std::ops::Range;

use super::super::super::analysis::{
    ContainerQuery, HttpQuery, Limit, Metric, PrometheusQuery, Provider,
};
use super::super::{required, resources};
use super::access::access;
use crate::analysis::condition::Condition;
use crate::analysis::subject::{PLACEHOLDERS, check_placeholders};
use crate::diagnostic::nearest;
use crate::document::{Fields, Node, Reader, Value, refuse_both};

const PROVIDERS: [&str; 4] = ["prometheus", "http", "container", "pods"];
const KEYS: [&str; 15] = [
    "name",
    "prometheus",
    "http",
    "container",
    "pods",
    "pass",
    "fail",
    "interval",
    "count",
    "initial_delay",
    "starting_step",
    "failure_limit",
    "inconclusive_limit",
    "consecutive_error_limit",
    "consecutive_success_limit",
];

pub(super) fn metrics(r: &mut Reader<'_>, analysis: &Fields<'_>) -> Vec<Metric> {
    let what = analysis.path("metrics");
    let mut metrics: Vec<(Metric, Range<usize>)> = Vec::new();
    for node in r.elements(analysis, "metrics").unwrap_or_default() {
        let Some((metric, span)) = metric(r, node, &what) else {
            continue;
        };
        if let Some((_, first)) = metrics.iter().find(|(m, _)| m.name == metric.name) {
            let message = format!("`{what}` has two with the name {:?}", metric.name);
            let error = r.source.error(span, message);
            r.push(
                error
                    .related(first.clone(), "here one")
                    .help("give each another name"),
            );
            continue;
        }
        metrics.push((metric, span));
    }
    metrics.into_iter().map(|(metric, _)| metric).collect()
}

/// A metric, and where its name is.
fn metric(r: &mut Reader<'_>, node: &Node, what: &str) -> Option<(Metric, Range<usize>)> {
    let known: Vec<&str> = KEYS.into_iter().chain(["dry_run"]).collect();
    let fields = r.fields(node, what, &known)?;
    let name = required(r, &fields, "name", "name: success");
    let span = fields.get("name").map(|node| node.span.clone());
    let fields = match &span {
        Some(span) => fields.at(span.clone()),
        None => fields,
    };
    let provider = provider(r, &fields);
    let pass = condition(r, &fields, "pass");
    let fail = condition(r, &fields, "fail");
    let interval = r.parsed(&fields, "interval");
    let count = count(r, &fields);
    let starting_step = r.number(&fields, "starting_step", 1, 1000);
    let failure_limit = limit(r, &fields, "failure_limit");
    let inconclusive_limit = limit(r, &fields, "inconclusive_limit");
    let consecutive_error_limit = limit(r, &fields, "consecutive_error_limit");
    let consecutive_success_limit = r.number(&fields, "consecutive_success_limit", 1, 1_000_000);
    let dry_run = r.flag(&fields, "dry_run").unwrap_or_default();
    let initial_delay = r.parsed(&fields, "initial_delay");
    let provider = provider?;
    let own = provider.own_condition();
    let named = fields.entry("pass").is_some() || fields.entry("fail").is_some();
    if !named && own.is_none() {
        let message = format!("`{what}`: a metric needs `pass` or `fail`");
        let help = "add what must hold of the measured value, such as `pass: \"result >= 0.99\"`";
        r.error_help(fields.span.clone(), message, help);
        return None;
    }
    let mut metric = Metric::new(&name?, provider);
    metric.pass = pass.or(own.filter(|_| !named));
    metric.fail = fail;
    metric.interval = interval;
    metric.count = count;
    metric.initial_delay = initial_delay;
    metric.starting_step = starting_step;
    metric.failure_limit = failure_limit.unwrap_or(metric.failure_limit);
    metric.inconclusive_limit = inconclusive_limit.unwrap_or(metric.inconclusive_limit);
    metric.consecutive_error_limit =
        consecutive_error_limit.unwrap_or(metric.consecutive_error_limit);
    metric.consecutive_success_limit = consecutive_success_limit;
    metric.dry_run = dry_run;
    check_limit(r, &fields, &metric);
    Some((metric, span?))
}

fn provider(r: &mut Reader<'_>, metric: &Fields<'_>) -> Option<Provider> {
    for (index, one) in PROVIDERS.iter().enumerate() {
        for other in &PROVIDERS[index + 1..] {
            if refuse_both(r, metric, one, other) {
                return None;
            }
        }
    }
    if let Some(fields) = r.section(metric, "prometheus", &["query", "address", "auth"]) {
        let query = template(r, &fields, "query", "query: sum(rate(errors_total[1m]))");
        let address = required(r, &fields, "address", "address: http://prometheus:9090");
        let address = web_address(r, &fields, "address", address?);
        let auth = access(r, &fields);
        return Some(Provider::Prometheus(PrometheusQuery {
            query: query?,
            address: address?,
            auth,
        }));
    }
    if let Some(fields) = r.section(metric, "http", &["url", "json_path", "timeout", "auth"]) {
        let url = template(r, &fields, "url", "url: http://checks:8080/{{service}}");
        let url = url.and_then(|url| web_address(r, &fields, "url", url));
        let json_path = r.parsed(&fields, "json_path");
        let timeout = r.parsed(&fields, "timeout");
        return Some(Provider::Http(HttpQuery {
            url: url?,
            json_path,
            timeout,
            auth: access(r, &fields),
        }));
    }
    let container = ["image", "run", "timeout", "resources"];
    if let Some(fields) = r.section(metric, "container", &container) {
        let image = required(r, &fields, "image", "image: curlimages/curl:8");
        let run = r.run(&fields, "run: [./check.sh]");
        let timeout = r.parsed(&fields, "timeout");
        return Some(Provider::Container(ContainerQuery {
            image: image?,
            run,
            timeout,
            resources: resources(r, &fields).unwrap_or_default(),
        }));
    }
    if r.section(metric, "pods", &[]).is_some() {
        return Some(Provider::Pods);
    }
    if PROVIDERS.iter().all(|key| metric.entry(key).is_none()) {
        let message = format!("`{}`: a metric must say what is measured", metric.what);
        let help = "add one of `prometheus`, `http`, `container` and `pods`";
        r.error_help(metric.span.clone(), message, help);
    }
    None
}

/// Text in which `{{service}}` and the like are filled in.
fn template(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str, example: &str) -> Option<String> {
    let text = required(r, fields, key, example)?;
    let Err(error) = check_placeholders(&text) else {
        return Some(text);
    };
    let node = fields.get(key)?;
    let span = within(r, node, &text, error.offset, error.name.len() + 4);
    let known = PLACEHOLDERS
        .map(|name| format!("`{{{{{name}}}}}`"))
        .join(", ");
    let help = match nearest(&error.name, PLACEHOLDERS) {
        Some(near) => format!("did you mean `{{{{{near}}}}}`?"),
        None => format!("these are filled in: {known}"),
    };
    r.error_help(span, format!("`{}`: {error}", fields.path(key)), help);
    None
}

fn web_address(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str, text: String) -> Option<String> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    if host.is_some_and(|host| !host.is_empty() && !text.contains(char::is_whitespace)) {
        return Some(text);
    }
    let message = format!("`{}` must be an address of HTTP", fields.path(key));
    let help = "write it with scheme and host, such as `http://prometheus:9090`";
    r.error_help(fields.get(key)?.span.clone(), message, help);
    None
}

fn condition(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<Condition> {
    let text = r.text(fields, key)?;
    let error = match text.parse() {
        Ok(condition) => return Some(condition),
        Err(error) => error,
    };
    let error: crate::analysis::condition::InvalidCondition = error;
    let node = fields.get(key)?;
    let length = text[error.offset..]
        .chars()
        .next()
        .map_or(0, char::len_utf8);
    let span = within(r, node, &text, error.offset, length);
    let message = format!(
        "`{}`: the condition is not understood here",
        fields.path(key)
    );
    r.error_help(span, message, error.expected);
    None
}

fn count(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<u32> {
    let count = r.number(fields, "count", 1, 1_000_000)?;
    if count > 1 && fields.entry("interval").is_none() {
        let message = format!("`{}` of more than 1 needs `interval`", fields.path("count"));
        let help = "add how long it is from one measurement to the next, such as `interval: 30s`";
        r.error_help(fields.get("count")?.span.clone(), message, help);
    }
    Some(count)
}

fn limit(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<Limit> {
    match &fields.get(key)?.value {
        Value::Scalar { text, .. } if text == "unlimited" => Some(Limit::UNLIMITED),
        _ => {
            let before = r.diagnostics.len();
            let limit = r.number(fields, key, 0, 1_000_000).map(Limit::AtMost);
            if let Some(diagnostic) = r.diagnostics.get_mut(before) {
                diagnostic.help = Some("write how many are tolerated, or `unlimited`".to_owned());
            }
            limit
        }
    }
}

/// A metric that cannot fail is not what its writer meant.
fn check_limit(r: &mut Reader<'_>, fields: &Fields<'_>, metric: &Metric) {
    let (Limit::AtMost(limit), Some(count)) = (metric.failure_limit, metric.effective_count())
    else {
        return;
    };
    if let (true, Some(node)) = (limit >= count, fields.get("failure_limit")) {
        let message = format!(
            "`{}` of {limit} cannot be exceeded with a `count` of {count}: the metric could never fail",
            fields.path("failure_limit"),
        );
        let help = format!("write a number less than {count}, or `dry_run: true`");
        r.error_help(node.span.clone(), message, help);
    }
}

/// A part of a text, where the file shows the text as it is; else the whole of it.
fn within(r: &Reader<'_>, node: &Node, text: &str, offset: usize, length: usize) -> Range<usize> {
    let shown = r.source.text.get(node.span.clone()).unwrap_or_default();
    let Some(begin) = shown.find(text).filter(|begin| *begin <= 1 && length > 0) else {
        return node.span.clone();
    };
    let start = node.span.start + begin + offset;
    start..start + length
}
