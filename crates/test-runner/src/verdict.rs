//! What the end of the tests and their reports say together.

use std::time::Duration;

use container_stage::outcome;
use domain::stage::{Failure, StageResult};
use engine::StepExit;

use crate::reports::Report;

/// Failing tests that the reason names.
const NAMED: usize = 3;

/// Judges tests by how they ended and by their reports, if there are any.
///
/// # Errors
/// What to tell about tests that are red.
pub(crate) fn judge(
    exit: StepExit,
    limit: Duration,
    report: Option<Report>,
    last_lines: &[String],
) -> Result<StageResult, Box<Failure>> {
    let complaint = outcome::complaint(exit, limit);
    let failed = report
        .as_ref()
        .is_some_and(|report| report.counts.failed > 0);
    if complaint.is_none() && !failed {
        let tests = report.as_ref().map(|report| report.counts);
        return Ok(StageResult {
            tests,
            summary: summary(report.as_ref()),
            artifact: None,
        });
    }
    let by_itself = matches!(exit, StepExit::Exited(_));
    let reason = match (complaint, &report) {
        (complaint, Some(report)) if failed && (by_itself || complaint.is_none()) => {
            counted(report)
        }
        (Some(complaint), Some(report)) if !failed => {
            format!(
                "{complaint}; the reports show {} and none that failed",
                tests(report.total())
            )
        }
        (Some(complaint), _) => complaint,
        (None, _) => "the tests failed".to_owned(),
    };
    let counts = report.as_ref().map(|report| report.counts);
    let tests = report.map(|report| report.failed).unwrap_or_default();
    let failure = Failure {
        tests,
        counts,
        ..Failure::because(reason)
    };
    Err(Box::new(
        failure.with_last_lines(last_lines.iter().map(String::as_str)),
    ))
}

/// `2 of 41 tests failed: tests.test_total::test_sum, …`
fn counted(report: &Report) -> String {
    let names: Vec<&str> = report
        .failed
        .iter()
        .take(NAMED)
        .map(|test| test.name.as_str())
        .collect();
    let more = if report.counts.failed as usize > names.len() {
        ", …"
    } else {
        ""
    };
    format!(
        "{} of {} failed: {}{more}",
        report.counts.failed,
        tests(report.total()),
        names.join(", ")
    )
}

fn summary(report: Option<&Report>) -> String {
    match report {
        None => "every command succeeded".to_owned(),
        Some(report) if report.counts.skipped > 0 => {
            format!(
                "{} passed, {} skipped",
                tests(report.counts.passed),
                report.counts.skipped
            )
        }
        Some(report) => format!("{} passed", tests(report.counts.passed)),
    }
}

fn tests(number: u32) -> String {
    if number == 1 {
        "1 test".to_owned()
    } else {
        format!("{number} tests")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::stage::{FailedTest, TestCounts};

    fn report(passed: u32, failed: u32, skipped: u32) -> Report {
        let failing = |n| FailedTest {
            name: format!("t{n}"),
            message: String::new(),
        };
        Report {
            counts: TestCounts {
                passed,
                failed,
                skipped,
            },
            failed: (0..failed).map(failing).collect(),
        }
    }

    fn reason(exit: StepExit, report: Option<Report>) -> String {
        judge(exit, Duration::from_secs(60), report, &[])
            .unwrap_err()
            .reason
    }

    #[test]
    fn red_tests_are_counted_and_named() {
        assert_eq!(
            reason(StepExit::Exited(1), Some(report(39, 2, 0))),
            "2 of 41 tests failed: t0, t1"
        );
        assert_eq!(
            reason(StepExit::Exited(1), Some(report(1, 5, 1))),
            "5 of 7 tests failed: t0, t1, t2, …"
        );
        assert_eq!(
            reason(StepExit::Exited(0), Some(report(0, 1, 0))),
            "1 of 1 test failed: t0"
        );
    }

    #[test]
    fn red_tests_keep_the_counts_of_their_report() {
        let limit = Duration::from_secs(60);
        let read = report(39, 3, 0);
        let counts = read.counts;
        let red = judge(StepExit::Exited(1), limit, Some(read), &[]).unwrap_err();
        assert_eq!(red.counts, Some(counts));
        let red = judge(StepExit::Exited(1), limit, None, &[]).unwrap_err();
        assert_eq!(red.counts, None);
    }

    #[test]
    fn without_a_red_report_the_exit_says_why() {
        let lines = ["boom".to_owned()];
        let failure = judge(StepExit::Exited(1), Duration::ZERO, None, &lines).unwrap_err();
        assert_eq!(failure.reason, "a command ended with exit code 1");
        assert_eq!(
            (failure.tests.len(), failure.last_lines),
            (0, lines.to_vec())
        );
        assert!(
            reason(StepExit::Exited(2), Some(report(3, 0, 0)))
                .ends_with("the reports show 3 tests and none that failed")
        );
        assert!(reason(StepExit::OutOfMemory, Some(report(3, 1, 0))).contains("memory"));
    }

    #[test]
    fn green_tests_are_counted() {
        let green = |report| judge(StepExit::Exited(0), Duration::ZERO, report, &[]).unwrap();
        assert_eq!(green(None).summary, "every command succeeded");
        assert_eq!(green(Some(report(41, 0, 0))).summary, "41 tests passed");
        let result = green(Some(report(1, 0, 2)));
        assert_eq!(result.summary, "1 test passed, 2 skipped");
        assert_eq!(
            result.tests,
            Some(TestCounts {
                passed: 1,
                failed: 0,
                skipped: 2
            })
        );
    }
}
