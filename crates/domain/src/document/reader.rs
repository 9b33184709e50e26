//! From a tree to values: each method reports what is wrong and goes on without the value.

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use indexmap::IndexMap;

use super::{Entry, Node, Value, is_truth_value};
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

    /// Text. Numbers and truth values must be in quotes: other tools read them otherwise.
    pub(crate) fn text(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let what = fields.path(key);
        self.text_at(fields.get(key)?, &what)
    }

    /// The text of a value.
    pub(crate) fn text_at(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, plain } if !plain || matches!(node.kind(), "text") => {
                if text.contains('\0') {
                    self.error(
                        node.span.clone(),
                        format!("`{what}` contains a NUL character"),
                    );
                    return None;
                }
                Some(text.clone())
            }
            _ => {
                self.not_text(node, what);
                None
            }
        }
    }

    fn not_text(&mut self, node: &Node, what: &str) {
        let message = format!("`{what}` must be text, but this is {}", node.kind());
        let help = match &node.value {
            Value::Scalar { .. } if node.is_null() => {
                "write the text, or leave the key out".to_owned()
            }
            Value::Scalar { text, .. } => format!("put it into quotes: \"{text}\""),
            Value::Map(_) => "a text that contains `: ` or begins with `{` needs quotes".to_owned(),
            Value::List(_) => "write one text instead of a list".to_owned(),
        };
        self.error_help(node.span.clone(), message, help);
    }

    /// Text that is not empty.
    pub(crate) fn name(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let text = self.text(fields, key)?;
        if !text.trim().is_empty() {
            return Some(text);
        }
        self.error(
            fields.get(key)?.span.clone(),
            format!("`{}` is empty", fields.path(key)),
        );
        None
    }

    /// A path in the service's folder: relative, and not out of it.
    pub(crate) fn path(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let text = self.name(fields, key)?;
        self.inside(fields.get(key)?, text, &fields.path(key))
    }

    /// Checks that a text is a path in the service's folder.
    pub(crate) fn inside(&mut self, node: &Node, text: String, what: &str) -> Option<String> {
        let problem = if text.starts_with('/') {
            "is absolute"
        } else if leaves(&text) {
            "leaves the service's folder"
        } else {
            return Some(text);
        };
        let help = "write a path relative to the folder of this file, and inside it";
        self.error_help(
            node.span.clone(),
            format!("the path `{text}` of `{what}` {problem}"),
            help,
        );
        None
    }

    /// A list of texts; one text alone counts as a list of it.
    pub(crate) fn texts(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        self.nodes(fields, key)
            .into_iter()
            .flatten()
            .map(|(_, text)| text)
            .collect()
    }

    /// The elements of a list; one value alone counts as a list of it. `None` when the key is absent.
    pub(crate) fn elements<'n>(&self, fields: &Fields<'n>, key: &str) -> Option<&'n [Node]> {
        let node = fields.get(key)?;
        match &node.value {
            Value::List(nodes) => Some(nodes),
            _ => Some(std::slice::from_ref(node)),
        }
    }

    /// Texts with their places; `None` when the key is absent.
    pub(crate) fn nodes<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
    ) -> Option<Vec<(&'n Node, String)>> {
        let what = fields.path(key);
        let mut texts = Vec::new();
        for node in self.elements(fields, key)? {
            match self.text_at(node, &what) {
                Some(text) if text.trim().is_empty() => {
                    self.error(
                        node.span.clone(),
                        format!("an element of `{what}` is empty"),
                    );
                }
                Some(text) => texts.push((node, text)),
                None => {}
            }
        }
        Some(texts)
    }

    /// A program and its arguments: always a list. Numbers are taken as they are written.
    pub(crate) fn arguments(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        let what = fields.path(key);
        match fields.get(key).map(|node| (node, &node.value)) {
            Some((node, Value::Scalar { text, .. })) if text.contains(char::is_whitespace) => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let message = format!("`{what}` must be a list: the program and its arguments");
                self.error_help(
                    node.span.clone(),
                    message,
                    format!("write [{}]", words.join(", ")),
                );
                Vec::new()
            }
            _ => {
                let nodes = self.elements(fields, key).unwrap_or_default();
                nodes
                    .iter()
                    .filter_map(|node| self.value(node, &what))
                    .collect()
            }
        }
    }

    /// Command lines that must be there.
    pub(crate) fn run(&mut self, fields: &Fields<'_>, example: &str) -> Vec<String> {
        let empty = |n: &Node| matches!(&n.value, Value::List(list) if list.is_empty());
        if fields.get("run").is_none_or(empty) {
            self.missing(fields, "run", example);
            return Vec::new();
        }
        self.texts(fields, "run")
    }

    /// A value with a text form, such as a duration: in quotes or not.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
    ) -> Option<T> {
        let what = fields.path(key);
        self.parsed_at(fields.get(key)?, &what)
    }

    /// A value with a text form.
    pub(crate) fn parsed_at<T: FromStr<Err: Display>>(
        &mut self,
        node: &Node,
        what: &str,
    ) -> Option<T> {
        let Value::Scalar { text, .. } = &node.value else {
            self.error(
                node.span.clone(),
                format!("`{what}` must be one value, but this is {}", node.kind()),
            );
            return None;
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                // "what is wrong: what would be right"
                let error = error.to_string();
                let (message, help) = error.rsplit_once(": ").unwrap_or((&error, ""));
                let diagnostic = self.error(node.span.clone(), format!("`{what}`: {message}"));
                diagnostic.help = (!help.is_empty()).then(|| help.to_owned());
                None
            }
        }
    }

    /// A whole number in a range.
    pub(crate) fn number(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        least: u32,
        most: u32,
    ) -> Option<u32> {
        let node = fields.get(key)?;
        let what = fields.path(key);
        let Value::Scalar { text, plain } = &node.value else {
            self.error(
                node.span.clone(),
                format!("`{what}` must be a number, but this is {}", node.kind()),
            );
            return None;
        };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(number) if *plain && (least..=most).contains(&number) => Some(number),
            Ok(_) if !*plain => {
                let message = format!("`{what}` must be a number, but this is text");
                self.error_help(
                    node.span.clone(),
                    message,
                    format!("write it without quotes: {text}"),
                );
                None
            }
            _ if digits
                || text
                    .strip_prefix('-')
                    .is_some_and(|t| t.parse::<u64>().is_ok()) =>
            {
                let message = format!("`{what}` is out of range");
                self.error_help(
                    node.span.clone(),
                    message,
                    format!("write a number from {least} to {most}"),
                );
                None
            }
            _ => {
                let message = format!(
                    "`{what}` must be a whole number, but this is {}",
                    node.kind()
                );
                self.error_help(
                    node.span.clone(),
                    message,
                    format!("write a number from {least} to {most}"),
                );
                None
            }
        }
    }

    /// A TCP port.
    pub(crate) fn port(&mut self, fields: &Fields<'_>, key: &str) -> Option<u16> {
        self.number(fields, key, 1, 65_535)
            .and_then(|n| u16::try_from(n).ok())
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        let node = fields.get(key)?;
        match &node.value {
            Value::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "false") => {
                Some(text == "true")
            }
            _ => {
                let message = format!(
                    "`{}` must be true or false, but this is {}",
                    fields.path(key),
                    node.kind()
                );
                self.error_help(
                    node.span.clone(),
                    message,
                    "write `true` or `false`, without quotes",
                );
                None
            }
        }
    }

    /// Texts by name. Numbers are taken as they are written; truth values must be in quotes.
    pub(crate) fn variables(&mut self, fields: &Fields<'_>, key: &str) -> IndexMap<String, String> {
        self.named(fields, key, |reader, entry, what| {
            reader.value(&entry.value, what)
        })
    }

    /// A mapping with names of the writer's choice for keys.
    pub(crate) fn named<'n, T>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        mut read: impl FnMut(&mut Self, &'n Entry, &str) -> Option<T>,
    ) -> IndexMap<String, T> {
        let what = fields.path(key);
        let Some(node) = fields.get(key) else {
            return IndexMap::new();
        };
        let mut map = IndexMap::new();
        for entry in self.entries(node, &what).unwrap_or_default() {
            if !is_name(&entry.key) {
                let message = format!("`{what}` has a name that cannot be used");
                self.error_help(
                    entry.key_span.clone(),
                    message,
                    "a name is not empty and has no `=`, space or line break in it",
                );
            } else if let Some(value) = read(self, entry, &format!("{what}.{}", entry.key)) {
                map.insert(entry.key.clone(), value);
            }
        }
        map
    }

    /// The value of a variable.
    pub(crate) fn value(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, plain: true }
                if node.kind() == "a number" && !is_truth_value(text) =>
            {
                Some(text.clone())
            }
            Value::Scalar { .. } if node.is_null() => Some(String::new()),
            _ => self.text_at(node, what),
        }
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
pub(crate) fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn is_name(key: &str) -> bool {
    !key.is_empty() && !key.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control())
}

/// Whether `..` leads out of where the path begins.
fn leaves(path: &str) -> bool {
    let mut depth = 0_i32;
    path.split('/').any(|part| {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        depth < 0
    })
}
