//! A preview for people: what would change, what would stop it, what to type then.

use proto::preview::v1::{ChangeKind, DeploymentPreview, FieldChange, ObjectChange};

use super::release::short_digest;
use super::{Page, clean};
use crate::output::preview::would_change;

/// Lines of a long text that are shown on each side.
const LINES: usize = 12;

/// The preview as `--dry-run` prints it. `command` is what would do it.
#[must_use]
pub fn show(preview: &DeploymentPreview, command: &str, page: &Page) -> String {
    let mut lines = head(preview, page);
    lines.push(String::new());
    for object in &preview.objects {
        lines.extend(of_object(object, page));
    }
    lines.push(String::new());
    lines.push(format!("{} Nothing was changed.", sum(preview)));
    let obstacles = preview.obstacles.iter();
    let stops: Vec<String> = obstacles
        .map(|obstacle| format!("  {} {}", page.paint.bad("✘"), text(obstacle)))
        .collect();
    lines.extend(block("It would stop:", stops));
    let notes = preview.notes.iter();
    lines.extend(block(
        "Good to know:",
        notes.map(|note| format!("  {}", text(note))).collect(),
    ));
    if preview.obstacles.is_empty() && would_change(preview) {
        lines.push(String::new());
        lines.push(format!("Do it: {command}"));
    }
    lines.join("\n")
}

fn head(preview: &DeploymentPreview, page: &Page) -> Vec<String> {
    let paint = page.paint;
    let versions = match (preview.current_version.as_str(), preview.version.as_str()) {
        ("", new) => format!("{new} (nothing was there before)"),
        (old, new) if old == new => new.to_owned(),
        (old, new) => format!("{old} → {new}"),
    };
    let place = match preview.target.as_str() {
        "kubernetes" => "namespace",
        _ => "network",
    };
    let mut lines = vec![format!(
        "{} in {} · {}, {place} {}",
        paint.strong(&format!("{} {versions}", preview.service)),
        preview.environment,
        preview.target,
        clean::line(&preview.place)
    )];
    let mut fact = |name: &str, text: &str| {
        let text = clean::line(text);
        lines.push(format!("  {} {text}", paint.dim(&format!("{name:<9}"))));
    };
    let (old, new) = (
        short_digest(&preview.current_image_digest),
        short_digest(&preview.image_digest),
    );
    if old.is_empty() || old == new {
        fact("image", &new);
    } else {
        fact("image", &format!("{old} → {new}"));
    }
    fact(
        "strategy",
        &format!("{}: {}", preview.strategy, preview.steps.join(", ")),
    );
    fact("stages", &preview.stages.join(", "));
    lines
}

fn of_object(object: &ObjectChange, page: &Page) -> Vec<String> {
    let paint = page.paint;
    let name = format!("{} {}", object.kind, object.name);
    let (sign, name) = match object.change() {
        ChangeKind::Created => (paint.good("+"), paint.strong(&name)),
        ChangeKind::Changed => (paint.attention("~"), paint.strong(&name)),
        ChangeKind::Removed => (paint.bad("-"), paint.strong(&name)),
        ChangeKind::Refused => (paint.bad("✘"), paint.strong(&name)),
        ChangeKind::Unchanged | ChangeKind::Unspecified => ("=".to_owned(), paint.dim(&name)),
    };
    let mut about = vec![format!("{sign} {name}")];
    if !object.instead_of.is_empty() {
        about.push(format!("in place of {}", text(&object.instead_of)));
    }
    // Why it is refused stands below, with all else that would stop it.
    match object.change() {
        ChangeKind::Refused => about.push("refused".to_owned()),
        _ if !object.note.is_empty() => about.push(text(&object.note)),
        _ => {}
    }
    if !object.conflict.is_empty() {
        let words = format!("somebody else changed it: {}", text(&object.conflict));
        about.push(paint.attention(&words));
    }
    let mut lines = vec![about.join(" · ")];
    for field in &object.fields {
        lines.extend(of_field(field, page));
    }
    lines
}

/// On one line if it fits, else what goes above what comes.
fn of_field(field: &FieldChange, page: &Page) -> Vec<String> {
    let path = text(&field.path);
    if field.is_secret {
        let what = match (&field.before, &field.after) {
            (None, _) => "comes",
            (_, None) => "goes",
            _ => "changes",
        };
        return vec![format!("    {path}: {what} (secret, not shown)")];
    }
    let (before, after) = (side(field.before.as_deref()), side(field.after.as_deref()));
    if let ([before], [after]) = (before.as_slice(), after.as_slice()) {
        let line = format!("    {path}: {before} → {after}");
        if console::measure_text_width(&line) <= page.width {
            return vec![line];
        }
    }
    let (before, after) = unlike(&before, &after);
    let signed = |sign: &str, lines: &[String], paint: &dyn Fn(&str) -> String| {
        let left_out = lines.len().saturating_sub(LINES);
        let mut shown: Vec<String> = lines
            .iter()
            .take(LINES)
            .map(|line| format!("      {}", paint(&format!("{sign} {line}"))))
            .collect();
        if left_out > 0 {
            shown.push(format!("        … {left_out} more lines"));
        }
        shown
    };
    let mut lines = vec![format!("    {path}:")];
    lines.extend(signed("-", before, &|line| page.paint.bad(line)));
    lines.extend(signed("+", after, &|line| page.paint.good(line)));
    lines
}

/// The lines of a value.
fn side(value: Option<&str>) -> Vec<String> {
    match value {
        None => vec!["(none)".to_owned()],
        Some("") => vec!["\"\"".to_owned()],
        Some(value) => value.lines().map(clean::line).collect(),
    }
}

/// Both without the lines that are alike at the beginning and at the end.
fn unlike<'l>(before: &'l [String], after: &'l [String]) -> (&'l [String], &'l [String]) {
    let pairs = before.iter().zip(after);
    let first = pairs.take_while(|(old, new)| old == new).count();
    let (before, after) = (&before[first..], &after[first..]);
    let pairs = before.iter().rev().zip(after.iter().rev());
    let last = pairs.take_while(|(old, new)| old == new).count();
    (&before[..before.len() - last], &after[..after.len() - last])
}

/// `Would be: 1 created, 2 changed.`
fn sum(preview: &DeploymentPreview) -> String {
    if !would_change(preview) {
        return "Nothing would change.".to_owned();
    }
    let count = |kind| {
        preview
            .objects
            .iter()
            .filter(|o| o.change() == kind)
            .count()
    };
    let parts: Vec<String> = [
        (ChangeKind::Created, "created"),
        (ChangeKind::Changed, "changed"),
        (ChangeKind::Removed, "removed"),
        (ChangeKind::Refused, "refused"),
    ]
    .into_iter()
    .filter(|(kind, _)| count(*kind) > 0)
    .map(|(kind, words)| format!("{} {words}", count(kind)))
    .collect();
    if parts.is_empty() {
        // In a way that this program does not know.
        return "Something would change.".to_owned();
    }
    format!("Would be: {}.", parts.join(", "))
}

/// Text that can harm no terminal; its further lines are indented.
fn text(text: &str) -> String {
    clean::lines(text).collect::<Vec<_>>().join("\n    ")
}

fn block(title: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    [vec![String::new(), title.to_owned()], lines].concat()
}
