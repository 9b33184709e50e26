//! The jobs that this worker put back because their time had not come. They are in the queue though nobody claims
//! them, so the sweep must not take them for lost; and of two messages about the same job one is enough.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How much later than asked for a job may come back, to this worker or another, and still count as in the queue.
const LATE: Duration = Duration::from_secs(5);

/// Jobs by their identity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting {
    jobs: Arc<Mutex<HashMap<String, Seen>>>,
}

#[derive(Debug)]
struct Seen {
    /// Place in the queue of the message that stands for the job.
    sequence: u64,
    until: Instant,
}

impl Waiting {
    /// Notes that a message is put back for `delay`. Says false if an older message about the same job waits too:
    /// then this one is needless.
    pub(crate) fn put_back(&self, job: &str, sequence: u64, delay: Duration) -> bool {
        let now = Instant::now();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|_, seen| seen.until > now);
        if jobs.get(job).is_some_and(|seen| seen.sequence < sequence) {
            return false;
        }
        jobs.insert(
            job.to_owned(),
            Seen {
                sequence,
                until: now + delay + LATE,
            },
        );
        true
    }

    /// Whether the job is known to be in the queue.
    pub(crate) fn knows(&self, job: &str) -> bool {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.get(job)
            .is_some_and(|seen| seen.until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_two_messages_about_a_job_the_older_one_stays() {
        let (waiting, second) = (Waiting::default(), Duration::from_secs(1));
        assert!(waiting.put_back("a", 7, second));
        assert!(!waiting.put_back("a", 8, second));
        assert!(waiting.put_back("a", 7, second));
        assert!(waiting.put_back("a", 3, second));
        assert!(!waiting.put_back("a", 7, second));
        assert!(waiting.put_back("b", 9, second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_does_not_come_back_is_forgotten() {
        let waiting = Waiting::default();
        assert!(waiting.put_back("a", 7, Duration::from_secs(1)));
        assert!(waiting.knows("a"));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(!waiting.knows("a"));
        assert!(waiting.put_back("a", 8, Duration::from_secs(1)));
    }
}
