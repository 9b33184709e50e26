//! The section `analysis` of a strategy from the tree.

mod access;
mod metric;

use super::super::analysis::{Analysis, ErrorAnalysis, LatencyAnalysis, MOST_LOAD, SyntheticLoad};
use super::super::units::Percent;
use super::test::url_path;
use crate::document::{Fields, Reader};

pub(super) fn analysis(r: &mut Reader<'_>, parent: &Fields<'_>) -> Option<Analysis> {
    let known = [
        "errors",
        "latency",
        "false_aborts",
        "min_samples",
        "wait_for_samples",
        "load",
        "metrics",
    ];
    let fields = r.section(parent, "analysis", &known)?;
    if ["errors", "latency", "metrics"]
        .iter()
        .all(|watched| fields.entry(watched).is_none())
    {
        r.error_help(
            fields.span.clone(),
            format!(
                "`{}` watches nothing, so every version would pass",
                parent.path("analysis")
            ),
            "add `errors: { max_increase: 1% }`, `latency` or `metrics`, or leave it out",
        );
    }
    let default = Analysis::default();
    Some(Analysis {
        errors: errors(r, &fields),
        latency: latency(r, &fields),
        false_aborts: false_aborts(r, &fields).unwrap_or(default.false_aborts),
        min_samples: r
            .number(&fields, "min_samples", 1, 10_000_000)
            .unwrap_or(default.min_samples),
        wait_for_samples: r
            .parsed(&fields, "wait_for_samples")
            .unwrap_or(default.wait_for_samples),
        load: load(r, &fields),
        metrics: metric::metrics(r, &fields),
    })
}

fn errors(r: &mut Reader<'_>, analysis: &Fields<'_>) -> Option<ErrorAnalysis> {
    let fields = r.section(analysis, "errors", &["max_increase"])?;
    Some(ErrorAnalysis {
        max_increase: max_increase(r, &fields, "max_increase: 1%")?,
    })
}

fn latency(r: &mut Reader<'_>, analysis: &Fields<'_>) -> Option<LatencyAnalysis> {
    let fields = r.section(analysis, "latency", &["quantile", "max_increase"])?;
    let quantile = r.parsed(&fields, "quantile").unwrap_or_default();
    Some(LatencyAnalysis {
        quantile,
        max_increase: max_increase(r, &fields, "max_increase: 20%")?,
    })
}

fn max_increase(r: &mut Reader<'_>, fields: &Fields<'_>, example: &str) -> Option<Percent> {
    if fields.get("max_increase").is_none() {
        r.missing(fields, "max_increase", example);
    }
    r.parsed(fields, "max_increase")
}

fn load(r: &mut Reader<'_>, analysis: &Fields<'_>) -> Option<SyntheticLoad> {
    let default = SyntheticLoad::default();
    let fields = r.section(analysis, "load", &["path", "rate"])?;
    Some(SyntheticLoad {
        path: url_path(r, &fields, "path").unwrap_or(default.path),
        rate: r
            .number(&fields, "rate", 1, MOST_LOAD)
            .unwrap_or(default.rate),
    })
}

/// No test can promise never to be wrong, and one that may be wrong often is of no use.
fn false_aborts(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Percent> {
    let share: Percent = r.parsed(fields, "false_aborts")?;
    if (100..=200_000).contains(&share.parts_per_million()) {
        return Some(share);
    }
    let message = format!("`{}` is out of range", fields.path("false_aborts"));
    let span = fields.get("false_aborts")?.span.clone();
    r.error_help(
        span,
        message,
        "write a share from 0.01% to 20%, such as `1%`",
    );
    None
}
