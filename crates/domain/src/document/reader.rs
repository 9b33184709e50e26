//! From a tree to values: each method reports what is wrong and goes on without the value.

mod quantity;
mod text;

use std::ops::Range;

use super::{Entry, Node, Value};
use crate::diagnostic::{Diagnostic, Source, nearest};

/// Reads values of one file and collects what is wrong with it.
pub(crate) struct Reader<'s> {
    pub(crate) source: &'s Source,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The entries of a mapping whose keys are known.
pub(crate) struct Fields<'n> {
    /// What it is, for messages: `test.unit`.
    pub(crate) what: String,
    /// Its key, or itself where it has none.
    pub(crate) span: Range<usize>,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The entry of a key; one with nothing in it counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|e| &e.value).filter(|n| !n.is_null())
    }

    /// The entry of a key, also with nothing in it.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// The same with another place to point at.
    pub(crate) fn at(self, span: Range<usize>) -> Self {
        Self { span, ..self }
    }

    /// The name of a key for messages: `test.unit.run`.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.what.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.what)
        }
    }
}

/// What people write who know other tools, and what it is called here.
const SYNONYMS: [(&str, &str); 19] = [
    ("name", "service"),
    ("depends_on", "needs"),
    ("dependencies", "needs"),
    ("script", "run"),
    ("commands", "run"),
    ("command", "run"),
    ("steps", "run"),
    ("environment", "env"),
    ("variables", "env"),
    ("tests", "test"),
    ("file", "dockerfile"),
    ("build_args", "args"),
    ("instances", "replicas"),
    ("cpu", "cpus"),
    ("mem", "memory"),
    ("readiness", "ready"),
    ("healthcheck", "ready"),
    ("duration", "timeout"),
    ("bluegreen", "blue_green"),
];

impl<'s> Reader<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self {
            source,
            diagnostics: Vec::new(),
        }
    }

    /// Notes an error.
    pub(crate) fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(self.source.error(span, message))
    }

    /// Notes an error with what would be right.
    pub(crate) fn error_help(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(self.source.error(span, message).help(help));
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        self.diagnostics.push(diagnostic);
        self.diagnostics.last_mut().expect("one was just pushed")
    }

    /// A mapping with only `known` keys. Nothing at all counts as an empty one.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let entries = self.entries(node, what)?;
        for entry in entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            self.unknown_key(entry, what, known);
        }
        Some(Fields {
            what: what.to_owned(),
            span: node.span.clone(),
            entries,
        })
    }

    /// The mapping under a key of another one; `None` when it is not there, or is none.
    pub(crate) fn section<'n>(
        &mut self,
        parent: &Fields<'n>,
        key: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let entry = parent.entry(key)?;
        let fields = self.fields(&entry.value, &parent.path(key), known)?;
        Some(Fields {
            span: entry.key_span.clone(),
            ..fields
        })
    }

    /// The entries of a mapping with keys of the writer's choice.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ if node.is_null() => Some(&[]),
            _ => {
                let name = if what.is_empty() {
                    "the file".to_owned()
                } else {
                    format!("`{what}`")
                };
                let message = format!(
                    "{name} must be a mapping of keys to values, but this is {}",
                    node.kind()
                );
                let help = if what.is_empty() {
                    "begin with `key: value` lines"
                } else {
                    "put `key: value` lines under it, indented"
                };
                self.error_help(node.span.clone(), message, help);
                None
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, what: &str, known: &[&str]) {
        let place = if what.is_empty() {
            String::new()
        } else {
            format!(" in `{what}`")
        };
        let synonym = SYNONYMS
            .iter()
            .find(|(other, own)| *other == entry.key && known.contains(own))
            .map(|(_, own)| *own);
        let help = match nearest(&entry.key, known.iter().copied()).or(synonym) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there are no keys here".to_owned(),
            None => format!("the keys here are {}", quoted(known)),
        };
        let key: String = entry.key.chars().take(80).collect();
        self.push(
            self.source
                .error(
                    entry.key_span.clone(),
                    format!("unknown key `{key}`{place}"),
                )
                .label("not known here")
                .help(help),
        );
    }

    /// Reports that a key is missing.
    pub(crate) fn missing(&mut self, fields: &Fields<'_>, key: &str, example: &str) {
        let place = if fields.what.is_empty() {
            String::new()
        } else {
            format!(" in `{}`", fields.what)
        };
        let span = fields
            .entry(key)
            .map_or_else(|| fields.span.clone(), |e| e.key_span.clone());
        self.error_help(
            span,
            format!("`{key}` is missing{place}"),
            format!("add `{example}`"),
        );
    }
}

/// Reports two keys of which only one may be there; the answer is whether both are.
pub(crate) fn refuse_both(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    one: &str,
    other: &str,
) -> bool {
    let (Some(first), Some(second)) = (fields.entry(one), fields.entry(other)) else {
        return false;
    };
    let message = format!("`{}` has both `{one}` and `{other}`", fields.what);
    let error = reader
        .source
        .error(second.key_span.clone(), message)
        .label("and here the other");
    reader.push(
        error
            .related(first.key_span.clone(), "here one")
            .help("keep one of the two"),
    );
    true
}

/// Names between backticks, as a person lists them.
fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
