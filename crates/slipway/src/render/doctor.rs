//! What `doctor` found, for people.

use super::Page;
use crate::output::doctor::{Examination, Health};

/// One line for each check, what to do below the bad ones, and a verdict.
#[must_use]
pub fn examination(examination: &Examination, page: &Page) -> String {
    let width = examination
        .checks
        .iter()
        .map(|c| c.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for check in &examination.checks {
        let state = match check.state {
            Health::Ok => page.paint.good("ok  "),
            Health::Warn => page.paint.attention("warn"),
            Health::Fail => page.paint.bad("fail"),
        };
        let mut detail = check.detail.lines();
        let name = page.paint.strong(&format!("{:<width$}", check.name));
        lines.push(format!(
            "{state}  {name}  {}",
            detail.next().unwrap_or_default()
        ));
        let indent = " ".repeat(width + 8);
        lines.extend(detail.map(|line| format!("{indent}{line}")));
        lines.extend(
            check
                .mend
                .lines()
                .map(|line| format!("{indent}{} {line}", page.paint.attention("→"))),
        );
    }
    let count = |state| {
        examination
            .checks
            .iter()
            .filter(|c| c.state == state)
            .count()
    };
    lines.push(String::new());
    lines.push(match (count(Health::Fail), count(Health::Warn)) {
        (0, 0) => page.paint.good("Everything works."),
        (0, warnings) => format!("Everything that is needed works; {warnings} to look at."),
        (failures, _) => page
            .paint
            .bad(&format!("{failures} of what is needed does not work.")),
    });
    lines.join("\n")
}
