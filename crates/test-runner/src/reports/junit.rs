//! One JUnit XML file: `testsuites` and `testsuite` nest at will, each `testcase` passed, failed or was skipped.
//!
//! There is no standard; this reads what Maven's Surefire, pytest, cargo-nextest, gotestsum, Jest and RSpec write.
//! Files come from code under test: they are size-limited before, and a document type (entities!) is refused.

use domain::stage::{FailedTest, Failure};
use roxmltree::{Document, Node, ParsingOptions};

use super::Report;

/// Elements, texts and attributes of one file.
const MAX_NODES: u32 = 2_000_000;
/// Characters kept of a test's name.
const MAX_NAME: usize = 200;
/// Lines kept of what a test says about its failure.
const MAX_LINES: usize = 6;

/// Reads one report.
///
/// # Errors
/// A sentence about what is wrong with it.
pub(crate) fn parse(xml: &[u8]) -> Result<Report, String> {
    let text = std::str::from_utf8(xml).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let options = ParsingOptions {
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| format!("it is not XML: {error}"))?;
    let root = document.root_element();
    if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
        let name: String = root.tag_name().name().chars().take(40).collect();
        return Err(format!(
            "it is not a JUnit report: its root is <{name}>, not <testsuites> or <testsuite>"
        ));
    }
    let mut report = Report::default();
    for case in root
        .descendants()
        .filter(|node| node.has_tag_name("testcase"))
    {
        count(&mut report, case);
    }
    Ok(report)
}

fn count(report: &mut Report, case: Node<'_, '_>) {
    let child = |names: &[&str]| {
        case.children()
            .find(|node| names.contains(&node.tag_name().name()))
    };
    if let Some(failure) = child(&["failure", "error"]) {
        report.counts.failed = report.counts.failed.saturating_add(1);
        if report.failed.len() < Failure::MAX_TESTS {
            report.failed.push(FailedTest {
                name: name(case),
                message: message(failure),
            });
        }
    } else if child(&["skipped", "disabled"]).is_some()
        || case.attribute("status") == Some("notrun")
    {
        report.counts.skipped = report.counts.skipped.saturating_add(1);
    } else {
        report.counts.passed = report.counts.passed.saturating_add(1);
    }
}

/// `classname::name`, or the name alone.
fn name(case: Node<'_, '_>) -> String {
    let attribute = |name| {
        case.attribute(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let name = match (attribute("classname"), attribute("name")) {
        (Some(class), Some(name)) if class != name => format!("{class}::{name}"),
        (_, Some(name)) => name.to_owned(),
        (Some(class), None) => class.to_owned(),
        (None, None) => "a test without a name".to_owned(),
    };
    name.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_NAME)
        .collect()
}

/// The assertion's message, and the first lines of what follows it.
fn message(failure: Node<'_, '_>) -> String {
    let message = failure.attribute("message").unwrap_or_default();
    let text = failure.text().unwrap_or_default();
    // Many tools begin the text with the message.
    let repeated = text.trim_start().starts_with(message.trim());
    let lines = message.lines().filter(|_| !repeated).chain(text.lines());
    let lines = lines
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .take(MAX_LINES);
    let cut = lines.map(|line| line.chars().take(Failure::MAX_LINE).collect::<String>());
    cut.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::stage::TestCounts;
    use proptest::prelude::*;

    const PYTEST: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="0" failures="1" skipped="1" tests="4">
<testcase classname="tests.test_total" name="test_sum" time="0.001">
  <failure message="assert 3 == 4">def test_sum():
&gt;       assert 1 + 2 == 4
E       assert 3 == 4</failure></testcase>
<testcase classname="tests.test_total" name="test_zero" />
<testcase classname="tests.test_total" name="test_later"><skipped type="pytest.skip" message="later"/></testcase>
<testcase classname="" name="tests.test_broken"><error message="collection failure">ImportError</error></testcase>
</testsuite></testsuites>"#;

    #[test]
    fn failures_errors_and_skips_are_told_apart() {
        let report = parse(PYTEST.as_bytes()).unwrap();
        assert_eq!(
            report.counts,
            TestCounts {
                passed: 1,
                failed: 2,
                skipped: 1
            }
        );
        assert_eq!(report.total(), 4);
        assert_eq!(report.failed[0].name, "tests.test_total::test_sum");
        assert!(
            report.failed[0]
                .message
                .starts_with("assert 3 == 4\ndef test_sum():\n>       assert 1 + 2 == 4")
        );
        assert_eq!(report.failed[1].name, "tests.test_broken");
        assert_eq!(report.failed[1].message, "collection failure\nImportError");
    }

    #[test]
    fn suites_may_nest_and_be_the_root() {
        let xml = r#"<testsuite><testcase name="a"/><testsuite><testcase name="b"><failure/></testcase></testsuite></testsuite>"#;
        let report = parse(xml.as_bytes()).unwrap();
        assert_eq!(
            report.counts,
            TestCounts {
                passed: 1,
                failed: 1,
                skipped: 0
            }
        );
        assert_eq!(
            report.failed[0],
            FailedTest {
                name: "b".to_owned(),
                message: String::new()
            }
        );
    }

    #[test]
    fn a_message_that_the_text_repeats_is_shown_once() {
        let xml = r#"<testsuite><testcase name="a"><failure message="no">no
at line 3</failure></testcase></testsuite>"#;
        assert_eq!(
            parse(xml.as_bytes()).unwrap().failed[0].message,
            "no\nat line 3"
        );
    }

    #[test]
    fn hostile_files_are_refused() {
        let bomb = r#"<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuite name="&b;"/>"#;
        assert!(parse(bomb.as_bytes()).unwrap_err().contains("not XML"));
        assert!(parse(b"").unwrap_err().contains("empty"));
        assert!(parse(b"\xff\xfe<").unwrap_err().contains("UTF-8"));
        assert!(
            parse(b"<html><body/></html>")
                .unwrap_err()
                .contains("<html>")
        );
        assert!(parse(b"<testsuite><testcase").is_err());
        let many = format!(
            "<testsuite>{}</testsuite>",
            "<testcase name='x'><failure/></testcase>".repeat(1000)
        );
        assert_eq!(
            parse(many.as_bytes()).unwrap().failed.len(),
            Failure::MAX_TESTS
        );
    }

    #[test]
    fn a_very_deep_file_overflows_no_stack() {
        let deep = format!(
            "{}{}",
            "<testsuite>".repeat(200_000),
            "</testsuite>".repeat(200_000)
        );
        let parsed = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || parse(deep.as_bytes()).is_ok());
        parsed.unwrap().join().unwrap();
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<testsuite>)?[<>/a-z\"'&;= !\\[\\]\\-]{0,200}(</testsuite>)?") {
            let _ = parse(text.as_bytes());
        }
    }
}
