//! From text to a tree, with limits on everything that a hostile file could grow.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag,
};

use super::{Entry, Node, Value};
use crate::diagnostic::{Diagnostic, Source};

/// Longer files are refused unread.
const MAX_BYTES: usize = 1024 * 1024;
/// Lists and mappings within each other.
const MAX_DEPTH: usize = 32;
/// Values, counting those that aliases repeat.
const MAX_NODES: usize = 20_000;

/// Reads the one document of a file; `example` is what to put into an empty file.
pub(crate) fn load(source: &Source, example: &str) -> Result<Node, Box<Diagnostic>> {
    let root = Loader::new(source)?.document()?;
    match root {
        Some(node) if !node.is_null() => Ok(node),
        _ => Err(Box::new(
            source
                .error(0..0, "the file is empty")
                .help(format!("the least that it must say is\n{example}")),
        )),
    }
}

/// Reads every document of a file that has something in it.
pub(crate) fn load_all(source: &Source) -> Result<Vec<Node>, Box<Diagnostic>> {
    let mut nodes = Loader::new(source)?.documents()?;
    nodes.retain(|node| !node.is_null());
    Ok(nodes)
}

struct Loader<'s, I: granit_parser::BorrowedInput<'s>> {
    source: &'s Source,
    parser: Parser<'s, I>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    /// Where the lists and mappings in brackets begin that have not ended yet.
    open: Vec<usize>,
}

type Step<T> = Result<T, Box<Diagnostic>>;

impl<'s> Loader<'s, granit_parser::StrInput<'s>> {
    fn new(source: &'s Source) -> Step<Self> {
        if source.text.len() > MAX_BYTES {
            let message = format!(
                "the file is {} bytes long; at most {MAX_BYTES} are read",
                source.text.len()
            );
            let mut diagnostic = source.error(0..0, message);
            diagnostic.help =
                Some("large data belongs in a file of its own in the repository".to_owned());
            return Err(Box::new(diagnostic));
        }
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        Ok(Self {
            source,
            parser: Parser::new_from_str_with_options(&source.text, options),
            anchors: HashMap::new(),
            nodes: 0,
            open: Vec::new(),
        })
    }
}

impl<'s, I: granit_parser::BorrowedInput<'s>> Loader<'s, I> {
    fn documents(&mut self) -> Step<Vec<Node>> {
        let mut roots = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(roots),
                Event::StreamStart | Event::DocumentEnd => {}
                // Each document has anchors of its own.
                Event::DocumentStart(..) => self.anchors.clear(),
                event => roots.push(self.node(event, span, 0)?),
            }
        }
    }

    fn document(&mut self) -> Step<Option<Node>> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let message = "a second document begins here; the file must have only one";
                    return Err(Box::new(self.source.error(self.range(&span), message)));
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Step<(Event<'s>, Span)> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Box::new(self.syntax(&error))),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'s>, span: Span, depth: usize) -> Step<Node> {
        let mut range = self.range(&span);
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > 2 * MAX_DEPTH {
            return Err(Box::new(self.too_large(range)));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !self.is_text(tag.as_deref(), &span)?;
                (
                    Value::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                    anchor,
                )
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.is_text(tag.as_deref(), &span)?;
                let list =
                    self.within(style, &mut range, |loader, range| loader.list(range, depth))?;
                (Value::List(list), anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.is_text(tag.as_deref(), &span)?;
                let map =
                    self.within(style, &mut range, |loader, range| loader.map(range, depth))?;
                (Value::Map(map), anchor)
            }
            Event::Alias(id) => return self.alias(id, range),
            _ => {
                return Err(Box::new(
                    self.source.error(range, "this is not a YAML value"),
                ));
            }
        };
        let node = Node { span: range, value };
        if anchor != 0 {
            // Its size, to count each repetition against the limit.
            self.anchors.insert(anchor, (node.clone(), size(&node)));
        }
        Ok(node)
    }

    /// Reads the elements of a list or a mapping, and remembers meanwhile which bracket is open.
    fn within<T>(
        &mut self,
        style: StructureStyle,
        range: &mut Range<usize>,
        read: impl FnOnce(&mut Self, &mut Range<usize>) -> Step<T>,
    ) -> Step<T> {
        if style == StructureStyle::Block {
            return read(self, range);
        }
        self.open.push(range.start);
        let elements = read(self, range)?;
        self.open.pop();
        Ok(elements)
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> Step<Node> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(Box::new(
                self.source
                    .error(range, "this repeats something that contains itself"),
            ));
        };
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err(Box::new(self.too_large(range)));
        }
        Ok(Node {
            span: range,
            value: node.value.clone(),
        })
    }

    fn list(&mut self, range: &mut Range<usize>, depth: usize) -> Step<Vec<Node>> {
        let mut list = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                range.end = self.range(&span).end.max(range.end);
                return Ok(list);
            }
            list.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, range: &mut Range<usize>, depth: usize) -> Step<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                range.end = self.range(&span).end.max(range.end);
                return Ok(entries);
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Value::Scalar { text, .. } = key.value else {
                let message = format!("a key must be text, but this is {}", key.kind());
                let help = "a text that begins with `{` or `[` needs quotes";
                return Err(Box::new(self.source.error(key.span, message).help(help)));
            };
            if let Some(first) = entries.iter().find(|e| e.key == text) {
                let error = self
                    .source
                    .error(key.span, format!("the key `{text}` is here twice"));
                let error = error
                    .label("again here")
                    .related(first.key_span.clone(), "first here");
                return Err(Box::new(
                    error.help("keep one of the two, or merge what they say"),
                ));
            }
            entries.push(Entry {
                key: text,
                key_span: key.span,
                value,
            });
        }
    }

    /// Whether a tag says that this is text; tags that say more than YAML's own are refused.
    fn is_text(&self, tag: Option<&Tag>, span: &Span) -> Step<bool> {
        match tag {
            None => Ok(false),
            Some(tag) if tag.is_yaml_core_schema() => Ok(tag.is_yaml_core_schema_tag("str")),
            Some(tag) => {
                let range = self.range(&span.tag_span().unwrap_or(*span));
                let message = format!("the tag `{}` means nothing here", tag.original());
                let help = "leave it out; a text that begins with `!` needs quotes";
                Err(Box::new(self.source.error(range, message).help(help)))
            }
        }
    }

    fn too_large(&self, range: Range<usize>) -> Diagnostic {
        let message =
            format!("the file holds more than {MAX_NODES} values, or nests them too deeply");
        self.source
            .error(range, message)
            .label("given up here")
            .help("aliases (`*name`) count each time they are used")
    }

    fn range(&self, span: &Span) -> Range<usize> {
        self.offset(&span.start)..self.offset(&span.end)
    }

    fn offset(&self, marker: &Marker) -> usize {
        marker.byte_offset().unwrap_or_else(|| {
            self.source
                .text
                .chars()
                .take(marker.index())
                .map(char::len_utf8)
                .sum()
        })
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let text = &self.source.text;
        // An error at the end of the file points at the last thing written.
        let mut at = self
            .offset(error.marker())
            .min(text.trim_end().len().saturating_sub(1));
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (message, help) = explain(error.kind());
        if is_tab(error.kind()) {
            let line = text[..at].rfind('\n').map_or(0, |before| before + 1);
            let tab = text[line..].find('\t').map_or(at, |tab| line + tab);
            return self
                .source
                .error(tab..tab + 1, message)
                .maybe_help(help.map(str::to_owned));
        }
        // What comes after a bracket that was never closed is mostly right in itself.
        match self.open.last() {
            Some(&open) if !is_quote(error.kind()) && text[open.min(at)..at].contains('\n') => {
                let bracket = &text[open..=open];
                let closing = if bracket == "[" { "]" } else { "}" };
                let message = format!("this `{bracket}` is not closed");
                let error = self
                    .source
                    .error(open..open + 1, message)
                    .label("opened here");
                error
                    .related(at..at, "this cannot stand in it")
                    .help(format!("add the missing `{closing}`"))
            }
            _ => self
                .source
                .error(at..at + 1, message)
                .maybe_help(help.map(str::to_owned)),
        }
    }
}

fn is_tab(kind: &ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(
        kind,
        K::TabNotAllowed
            | K::TabInBlockIndentation
            | K::TabInIndentation
            | K::TabAtBlockScalarStart
            | K::TabInPlainScalar
    )
}

fn is_quote(kind: &ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(
        kind,
        K::UnclosedQuotedScalar
            | K::UnknownQuotedScalarEscape
            | K::RecursionLimitExceeded
            | K::UnknownAnchor
    )
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(nodes) => nodes.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|e| 1 + size(&e.value)).sum(),
    }
}

/// The parser's words in ours, with what is usually the matter.
fn explain(kind: &ErrorKind) -> (String, Option<&'static str>) {
    use ErrorKind as K;
    let (message, help) = match kind {
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabAtBlockScalarStart => (
            "a tab cannot indent YAML",
            "indent with spaces; two for each level",
        ),
        K::TabInPlainScalar => (
            "a tab cannot stand here",
            "write spaces, or put the text into quotes",
        ),
        K::RecursionLimitExceeded => (
            "lists and mappings are nested too deeply",
            "nothing in this file needs 32 levels",
        ),
        K::UnknownAnchor => (
            "nothing was named with `&` so that it could be repeated here",
            "a text that begins with `*` needs quotes",
        ),
        K::MappingValueNotAllowed | K::InvalidColonPlacement => (
            "a `:` cannot stand here",
            "a text that contains `: ` needs quotes; a key needs a line of its own",
        ),
        K::UnclosedQuotedScalar => (
            "a quote was opened and never closed",
            "close it with the same kind of quote",
        ),
        K::UnclosedFlowCollection { open: '{' }
        | K::UnexpectedEofFlowMapping
        | K::ExpectedFlowMappingSeparator => (
            "expected `,` or `}` to go on or to end the mapping",
            "a text that contains `,`, `{` or `}` needs quotes",
        ),
        K::UnclosedFlowCollection { .. }
        | K::UnexpectedEofFlowSequence
        | K::ExpectedFlowSequenceSeparator => (
            "expected `,` or `]` to go on or to end the list",
            "a text that contains `,`, `[` or `]` needs quotes",
        ),
        K::MismatchedFlowCollectionEnd { .. } | K::MisplacedFlowCollectionEnd => (
            "this bracket closes nothing that is open",
            "a text that contains brackets needs quotes",
        ),
        K::ExpectedBlockMappingKey | K::SimpleKeyExpected | K::InvalidIndentation => (
            "expected a key and `:` here",
            "check the indentation: keys of one mapping begin in the same column",
        ),
        K::ExpectedBlockSequenceEntry | K::BlockSequenceEntryNotAllowed => (
            "a list element cannot stand here",
            "check the indentation: the `-` of one list are in the same column",
        ),
        K::UnexpectedCharacter { .. } => (
            "this character cannot begin a text",
            "put the text into quotes",
        ),
        K::UnknownQuotedScalarEscape => (
            "after `\\` comes nothing that YAML knows",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        other => return (format!("this is not YAML: {other}"), None),
    };
    (message.to_owned(), Some(help))
}
