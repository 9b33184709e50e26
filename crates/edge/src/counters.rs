//! Live counts per version.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;

use crate::{
    histogram::LiveHistogram,
    status::{StatusClasses, VersionStatus},
};

/// Versions that are remembered after their last backend left.
const VERSIONS_KEPT: usize = 32;

/// Counts of one version; added to by every request, without a lock.
#[derive(Debug, Default)]
pub(crate) struct VersionCounters {
    version: String,
    requests: AtomicU64,
    by_class: [AtomicU64; 5],
    errors: AtomicU64,
    retried: AtomicU64,
    latency: LiveHistogram,
}

impl VersionCounters {
    pub(crate) fn response(&self, status: StatusCode, latency: Duration) {
        self.requests.fetch_add(1, Relaxed);
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.by_class[class].fetch_add(1, Relaxed);
        self.latency.record(latency);
    }

    pub(crate) fn no_response(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn broken_response(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retried.fetch_add(1, Relaxed);
    }

    fn snapshot(&self) -> VersionStatus {
        let [
            informational,
            success,
            redirection,
            client_error,
            server_error,
        ] = self.by_class.each_ref().map(|count| count.load(Relaxed));
        VersionStatus {
            version: self.version.clone(),
            requests: self.requests.load(Relaxed),
            responses: StatusClasses {
                informational,
                success,
                redirection,
                client_error,
                server_error,
            },
            errors: self.errors.load(Relaxed),
            retried: self.retried.load(Relaxed),
            latency: self.latency.snapshot(),
        }
    }
}

/// The counts of all versions, in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Vec<Arc<VersionCounters>>>);

impl Counters {
    /// The counts of a version, from zero when it is new; the oldest that no backend uses is forgotten beyond the limit.
    pub(crate) fn of(&self, version: &str) -> Arc<VersionCounters> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.iter().find(|counters| counters.version == version) {
            return found.clone();
        }
        if known.len() >= VERSIONS_KEPT
            && let Some(unused) = known
                .iter()
                .position(|counters| Arc::strong_count(counters) == 1)
        {
            known.remove(unused);
        }
        let new = Arc::new(VersionCounters {
            version: version.to_owned(),
            ..Default::default()
        });
        known.push(new.clone());
        new
    }

    pub(crate) fn snapshot(&self) -> Vec<VersionStatus> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|counters| counters.snapshot()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_use_are_never_forgotten() {
        let counters = Counters::default();
        let used = counters.of("1.0.0");
        used.response(StatusCode::OK, Duration::from_millis(1));
        for patch in 0..100 {
            counters.of(&format!("2.0.{patch}"));
        }
        let known = counters.snapshot();
        assert_eq!(known.len(), VERSIONS_KEPT);
        assert_eq!(
            (known[0].version.as_str(), known[0].responses.success),
            ("1.0.0", 1)
        );
    }
}
