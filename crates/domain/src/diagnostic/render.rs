//! Diagnostics as text, in the manner of rustc.

use std::collections::BTreeMap;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, Severity};

pub(super) fn render(
    list: &[Diagnostic],
    texts: &BTreeMap<String, Arc<str>>,
    color: bool,
) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let shown: Vec<String> = list
        .iter()
        .map(|d| one(d, texts.get(&d.file).map(AsRef::as_ref), &renderer))
        .collect();
    shown.join("\n\n")
}

fn one(diagnostic: &Diagnostic, text: Option<&str>, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let mut group = match text.filter(|t| !t.trim().is_empty()) {
        Some(text) => {
            let mut primary = AnnotationKind::Primary.span(diagnostic.span.clone());
            if !diagnostic.label.is_empty() {
                primary = primary.label(diagnostic.label.as_str());
            }
            let related = diagnostic.related.as_ref().map(|r| {
                AnnotationKind::Context
                    .span(r.span.clone())
                    .label(r.label.as_str())
            });
            title.element(
                Snippet::source(text)
                    .path(diagnostic.file.as_str())
                    .annotation(primary)
                    .annotations(related),
            )
        }
        None => title.element(Origin::path(diagnostic.file.as_str())),
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}
