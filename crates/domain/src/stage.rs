//! The stages of a run: their names, who does them, and how they end.

use std::fmt;
use std::str::FromStr;

use crate::ids::{Digest, EnvironmentName, InvalidId};

/// One step of a run. The text form is stable: `build`, `deploy:test`, `approve:production`, …
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageName {
    /// Runs the team's build commands in its build container; the result is the workspace image.
    Build,
    /// Runs the unit tests in the workspace image.
    UnitTest,
    /// Builds the container image.
    Image,
    /// Tests the running image with its declared dependencies.
    FunctionalTest,
    /// Makes the image a candidate: a version tag in the development registry.
    Publish,
    /// Rolls the version out to an environment.
    Deploy(EnvironmentName),
    /// Tests the deployed service together with the others of the environment.
    IntegrationTest(EnvironmentName),
    /// Puts load on the deployed service.
    LoadTest(EnvironmentName),
    /// Puts an environment back to what it was, where the version's tests stopped there.
    Restore(EnvironmentName),
    /// Waits for the people who must agree.
    Approve(EnvironmentName),
    /// Copies the release by digest to the production registry and tags it there.
    Promote,
}

/// The queue that a stage's job waits in: one for each kind of worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// `build` and `image`, done by the builder.
    Build,
    /// All tests, done by the test-runner.
    Test,
    /// `publish` and `promote`, done by the registry-promoter.
    Promote,
    /// `deploy` and `restore`, done by the deployer.
    Deploy,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Build, Self::Test, Self::Promote, Self::Deploy];
}

impl StageName {
    /// Who does this stage; `None` for an approval, which people do.
    #[must_use]
    pub fn job_kind(&self) -> Option<JobKind> {
        match self {
            Self::Build | Self::Image => Some(JobKind::Build),
            Self::UnitTest
            | Self::FunctionalTest
            | Self::IntegrationTest(_)
            | Self::LoadTest(_) => Some(JobKind::Test),
            Self::Publish | Self::Promote => Some(JobKind::Promote),
            Self::Deploy(_) | Self::Restore(_) => Some(JobKind::Deploy),
            Self::Approve(_) => None,
        }
    }

    /// Whether what the stage makes follows from the commit, so that it need not be made again for the same one: what
    /// is built, tested by itself and kept, unlike what is done to an environment or agreed to by people.
    #[must_use]
    pub fn follows_from_commit(&self) -> bool {
        matches!(
            self,
            Self::Build | Self::UnitTest | Self::Image | Self::FunctionalTest | Self::Publish
        )
    }

    /// The environment that the stage is about, if it is about one.
    #[must_use]
    pub fn environment(&self) -> Option<&EnvironmentName> {
        match self {
            Self::Deploy(e)
            | Self::IntegrationTest(e)
            | Self::LoadTest(e)
            | Self::Restore(e)
            | Self::Approve(e) => Some(e),
            Self::Build
            | Self::UnitTest
            | Self::Image
            | Self::FunctionalTest
            | Self::Publish
            | Self::Promote => None,
        }
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build => f.write_str("build"),
            Self::UnitTest => f.write_str("unit-test"),
            Self::Image => f.write_str("image"),
            Self::FunctionalTest => f.write_str("functional-test"),
            Self::Publish => f.write_str("publish"),
            Self::Promote => f.write_str("promote"),
            Self::Deploy(e) => write!(f, "deploy:{e}"),
            Self::IntegrationTest(e) => write!(f, "integration-test:{e}"),
            Self::LoadTest(e) => write!(f, "load-test:{e}"),
            Self::Restore(e) => write!(f, "restore:{e}"),
            Self::Approve(e) => write!(f, "approve:{e}"),
        }
    }
}

impl FromStr for StageName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if let Some((stage, environment)) = text.split_once(':') {
            let environment: EnvironmentName = environment.parse()?;
            match stage {
                "deploy" => return Ok(Self::Deploy(environment)),
                "integration-test" => return Ok(Self::IntegrationTest(environment)),
                "load-test" => return Ok(Self::LoadTest(environment)),
                "restore" => return Ok(Self::Restore(environment)),
                "approve" => return Ok(Self::Approve(environment)),
                _ => {}
            }
        }
        match text {
            "build" => Ok(Self::Build),
            "unit-test" => Ok(Self::UnitTest),
            "image" => Ok(Self::Image),
            "functional-test" => Ok(Self::FunctionalTest),
            "publish" => Ok(Self::Publish),
            "promote" => Ok(Self::Promote),
            _ => Err(InvalidId {
                kind: "stage name",
                text: text.chars().take(80).collect(),
                rule: "build, unit-test, image, functional-test, publish, promote, or deploy, integration-test, \
                       load-test, restore, approve with ':' and an environment",
            }),
        }
    }
}

/// How one attempt at a stage ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It did what it should.
    Succeeded(Box<StageResult>),
    /// The user's code, tests or image are red: not retried by us.
    Failed(Box<Failure>),
    /// We or the infrastructure broke: retried with back-off while `retryable`.
    Errored {
        /// What happened.
        failure: Box<Failure>,
        /// Whether another attempt can help.
        retryable: bool,
    },
    /// Its inputs were seen before; `reason` names the earlier result that is used instead.
    Skipped {
        /// Why nothing had to be done.
        reason: String,
        /// The earlier result.
        result: Box<StageResult>,
    },
    /// Somebody or something newer made it needless.
    Cancelled {
        /// Who and why.
        reason: String,
    },
}

/// What a stage leaves for the stages after it and for people to read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageResult {
    /// What it made.
    pub artifact: Option<Artifact>,
    /// Counts of the tests that it ran.
    pub tests: Option<TestCounts>,
    /// One line for people, such as `3 replicas ready`.
    pub summary: String,
}

/// What a stage made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    /// The container file system after the team's build commands.
    Workspace {
        /// Image reference; it has a registry host only if it was pushed.
        image: String,
        /// Identity of the engine that holds it.
        engine: String,
    },
    /// The service's image in the development registry.
    Image {
        /// `host/name` in the development registry.
        repository: String,
        /// The run's own tag.
        tag: String,
        /// Digest of the manifest.
        digest: Digest,
        /// Identity of the engine that built it and has it locally.
        engine: String,
    },
    /// A version in the development registry.
    Candidate {
        /// `X.Y.Z-rc.N`.
        tag: String,
        /// Digest of the manifest or index.
        digest: Digest,
    },
    /// A version in the production registry.
    Release {
        /// `host/name` in the production registry.
        repository: String,
        /// `X.Y.Z`.
        tag: String,
        /// Digest of the manifest or index: the candidate's.
        digest: Digest,
    },
    /// A version at 100 % of an environment's traffic.
    Deployment {
        /// Where the service answers.
        address: String,
    },
}

/// Counts of tests, as reported by the test tool or, without reports, of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TestCounts {
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed or broke.
    pub failed: u32,
    /// Tests that the tool left out.
    pub skipped: u32,
}

/// Why a stage is red, on one screen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// One line: what happened, where, and what to do next.
    pub reason: String,
    /// The failing tests by name, at most [`Failure::MAX_TESTS`].
    pub tests: Vec<FailedTest>,
    /// The last lines of output, at most [`Failure::MAX_LINES`].
    pub last_lines: Vec<String>,
    /// Counts of the tests that it ran, where a report was read.
    pub counts: Option<TestCounts>,
}

impl Failure {
    /// Failing tests kept; the rest is in the log.
    pub const MAX_TESTS: usize = 20;
    /// Lines of output kept; the rest is in the log.
    pub const MAX_LINES: usize = 20;
    /// Characters kept of each line.
    pub const MAX_LINE: usize = 300;

    /// A failure that has nothing to show but its reason. Of several lines, which another program may have written, the
    /// first is the reason, and all of them are what there is to show.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let mut lines = reason.lines().filter(|line| !line.trim().is_empty());
        match (lines.next(), lines.next()) {
            (Some(first), Some(_)) => Self {
                reason: first.trim_end().to_owned(),
                ..Self::default()
            }
            .with_last_lines(reason.lines()),
            _ => Self {
                reason: reason.trim_end().to_owned(),
                ..Self::default()
            },
        }
    }

    /// The same with the last lines of `output`, cut to what is kept; no output changes nothing.
    #[must_use]
    pub fn with_last_lines<'a>(mut self, output: impl IntoIterator<Item = &'a str>) -> Self {
        let lines: Vec<&str> = output.into_iter().collect();
        if lines.is_empty() {
            return self;
        }
        let from = lines.len().saturating_sub(Self::MAX_LINES);
        self.last_lines = lines[from..]
            .iter()
            .map(|l| l.chars().take(Self::MAX_LINE).collect())
            .collect();
        self
    }
}

/// One failing test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailedTest {
    /// Its name as the tool gives it, such as `tests.test_orders::test_total`.
    pub name: String,
    /// The assertion's message, cut to a few lines.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_and_the_rest_is_kept_as_output() {
        let failure = Failure::because("the edge refuses: error: no such command\n\nUsage: edge\n");
        assert_eq!(failure.reason, "the edge refuses: error: no such command");
        let lines = [
            "the edge refuses: error: no such command",
            "",
            "Usage: edge",
        ];
        assert_eq!(failure.last_lines, lines);
        assert_eq!(failure.clone().with_last_lines([]), failure);
        assert_eq!(Failure::because("red\n").last_lines, Vec::<String>::new());
    }

    #[test]
    fn names_round_trip() {
        let names = [
            "build",
            "unit-test",
            "image",
            "functional-test",
            "publish",
            "promote",
            "deploy:test",
            "integration-test:test",
            "load-test:staging-eu",
            "restore:test",
            "approve:production",
        ];
        for text in names {
            assert_eq!(text.parse::<StageName>().unwrap().to_string(), text);
        }
        for text in [
            "deploy",
            "deploy:",
            "deploy:A",
            "build:test",
            "",
            "approve:a b",
        ] {
            assert!(text.parse::<StageName>().is_err(), "{text}");
        }
    }
}
