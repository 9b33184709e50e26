//! Trying again: the only place where this crate does.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};

use crate::{Error, ErrorClass};

/// How long to go on when a registry doesn't answer, is overloaded or breaks off.
///
/// Pauses double from `first_pause` to `longest_pause`, with jitter; a registry that names a longer one by
/// `Retry-After` gets it. No attempt starts later than `budget` after the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The pause after the first failure.
    pub first_pause: Duration,
    /// The longest pause that isn't asked for by the registry.
    pub longest_pause: Duration,
    /// The time from the first attempt to the start of the last one.
    pub budget: Duration,
}

impl RetryPolicy {
    /// One attempt only.
    pub const NEVER: Self = Self {
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
        budget: Duration::ZERO,
    };

    /// Goes on long enough for a registry to be restarted or moved: for jobs that nobody waits for at a prompt.
    pub const PATIENT: Self = Self {
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(10),
        budget: Duration::from_secs(120),
    };

    /// How long a registry may need to see what it was given. Distribution 2 writes the link to a blob anew when
    /// somebody else stores the same blob, and for that moment takes the blob for unknown or corrupt.
    const SETTLING: Self = Self {
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(200),
        budget: Duration::from_secs(1),
    };

    /// Like [`Self::run`], for writing what refers to something written before: goes on for a moment when the registry
    /// says that it doesn't have that.
    pub(crate) async fn run_settled<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let unsettled =
            |error: &Error| matches!(error.class(), ErrorClass::NotFound | ErrorClass::Corrupt);
        Self::SETTLING
            .run_while(unsettled, || self.run(&attempt))
            .await
    }

    /// Runs `attempt` until it succeeds, fails in a way that trying again won't mend, or the budget is used up.
    pub(crate) async fn run<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.run_while(Error::is_retryable, attempt).await
    }

    async fn run_while<T, F>(
        &self,
        is_worth_it: impl FnMut(&Error) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if self.budget.is_zero() {
            return attempt().await;
        }
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times();
        let start = Instant::now();
        attempt
            .retry(pauses)
            .when(is_worth_it)
            .adjust(|error, pause| {
                let pause = pause?.max(error.retry_after().unwrap_or_default());
                (start.elapsed() + pause <= self.budget).then_some(pause)
            })
            .notify(|error, pause| {
                tracing::warn!(error = %error, pause.ms = pause.as_millis(), "registry failed, trying again");
            })
            .await
    }
}

impl Default for RetryPolicy {
    /// Rides out a hiccup while somebody waits.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            budget: Duration::from_secs(20),
        }
    }
}
