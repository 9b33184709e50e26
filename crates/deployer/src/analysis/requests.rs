//! What an edge counted, as the judge wants it.

use domain::analysis::judge::{Bucket, Counts, Histogram, Look, Traffic};
use edge::status::{Status, VersionStatus};

/// What the edge was asked for both versions, since it began. Two of the same name can't be told apart: of them nothing
/// is known.
pub(crate) fn of_status(status: &Status, canary: &str, stable: &str) -> Look {
    let of = |version: &str| {
        let mut known = status.versions.iter().filter(|_| canary != stable);
        let found = known.find(|v| v.version == version);
        found.map(traffic).unwrap_or_default()
    };
    Look {
        canary: of(canary),
        stable: of(stable),
    }
}

/// A request that another attempt answered did not fail: nobody has noticed.
fn traffic(version: &VersionStatus) -> Traffic {
    let noticed = version.errors.saturating_sub(version.retried);
    let bucket = |bucket: &edge::histogram::Bucket| Bucket {
        above_us: bucket.above_us(),
        up_to_us: bucket.up_to_us,
        count: bucket.count,
    };
    Traffic {
        counts: Counts {
            requests: version.requests,
            failures: (version.responses.server_error + noticed).min(version.requests),
        },
        latencies: Histogram {
            buckets: version.latency.buckets.iter().map(bucket).collect(),
        },
    }
}

/// Requests since the new version takes traffic, over restarts of the router. What the old version was asked before is no
/// part of the comparison.
#[derive(Debug, Default)]
pub(super) struct Tally {
    last: Option<Look>,
    total: Look,
}

impl Tally {
    /// Takes in what the router has counted until now; gives the requests since the new version takes traffic, if it does.
    pub(super) fn add(&mut self, mut now: Look) -> Option<&Look> {
        let Some(last) = &mut self.last else {
            self.last = Some(now);
            return None;
        };
        let is_anew = |now: &Traffic, last: &Traffic| now.counts.requests < last.counts.requests;
        if is_anew(&now.canary, &last.canary) || is_anew(&now.stable, &last.stable) {
            *last = Look::default();
        }
        let canary = since(&now.canary, &last.canary);
        let stable = since(&now.stable, &last.stable);
        // An error that is made good a moment later is one less.
        for (now, last) in [
            (&mut now.canary, &last.canary),
            (&mut now.stable, &last.stable),
        ] {
            now.counts.failures = now.counts.failures.max(last.counts.failures);
        }
        *last = now;
        if canary.counts.requests == 0 && self.total.canary.counts.requests == 0 {
            return None;
        }
        add(&mut self.total.canary, canary);
        add(&mut self.total.stable, stable);
        Some(&self.total)
    }
}

fn since(now: &Traffic, last: &Traffic) -> Traffic {
    let before = |up_to_us| {
        let same = |bucket: &&Bucket| bucket.up_to_us == up_to_us;
        let found = last.latencies.buckets.iter().find(same);
        found.map_or(0, |bucket| bucket.count)
    };
    let added = |bucket: &Bucket| Bucket {
        count: bucket.count.saturating_sub(before(bucket.up_to_us)),
        ..*bucket
    };
    let (now_counts, last_counts) = (now.counts, last.counts);
    Traffic {
        counts: Counts {
            requests: now_counts.requests.saturating_sub(last_counts.requests),
            failures: now_counts.failures.saturating_sub(last_counts.failures),
        },
        latencies: Histogram {
            buckets: now.latencies.buckets.iter().map(added).collect(),
        },
    }
}

fn add(total: &mut Traffic, added: Traffic) {
    total.counts += added.counts;
    let buckets = &mut total.latencies.buckets;
    for bucket in added.latencies.buckets {
        match buckets.binary_search_by_key(&bucket.up_to_us, |b| b.up_to_us) {
            Ok(index) => buckets[index].count += bucket.count,
            Err(index) => buckets.insert(index, bucket),
        }
    }
}

#[cfg(test)]
mod tests {
    use edge::status::StatusClasses;

    use super::*;

    fn version(name: &str, good: u64, bad: u64, latencies: &[(u64, u64)]) -> VersionStatus {
        let bucket = |&(up_to_us, count)| edge::histogram::Bucket { up_to_us, count };
        VersionStatus {
            version: name.to_owned(),
            requests: good + bad,
            responses: StatusClasses {
                success: good,
                server_error: bad,
                ..StatusClasses::default()
            },
            latency: edge::histogram::Histogram {
                buckets: latencies.iter().map(bucket).collect(),
                sum_us: 0,
            },
            ..VersionStatus::default()
        }
    }

    fn status(versions: Vec<VersionStatus>) -> Status {
        Status {
            started_at_unix_ms: 0,
            generation: Some(1),
            table_error: None,
            listening: Vec::new(),
            connections: 0,
            backends: Vec::new(),
            routes: Vec::new(),
            versions,
        }
    }

    fn look(canary: (u64, u64), stable: (u64, u64)) -> Look {
        let status = status(vec![
            version("2", canary.0 - canary.1, canary.1, &[(7, canary.0)]),
            version("1", stable.0 - stable.1, stable.1, &[(7, stable.0)]),
        ]);
        of_status(&status, "2", "1")
    }

    #[test]
    fn versions_are_told_apart_by_name_and_one_that_is_not_listed_had_no_requests() {
        let status = status(vec![version("1", 90, 10, &[])]);
        let look = of_status(&status, "2", "1");
        assert_eq!(look.canary, Traffic::default());
        assert_eq!(look.stable.counts, Counts::new(100, 10));
        let look = of_status(&status, "1", "1");
        assert_eq!(look, Look::default(), "it is not compared with itself");
    }

    #[test]
    fn errors_that_another_attempt_made_good_are_no_failures() {
        let mut canary = version("2", 90, 4, &[]);
        (canary.requests, canary.errors, canary.retried) = (100, 6, 5);
        let look = of_status(&status(vec![canary]), "2", "1");
        assert_eq!(look.canary.counts, Counts::new(100, 5));
    }

    #[test]
    fn a_bucket_begins_where_the_one_before_it_ends_even_if_that_is_empty() {
        let canary = version("2", 3, 0, &[(3, 1), (1023, 2)]);
        let look = of_status(&status(vec![canary]), "2", "1");
        let ends = |b: &Bucket| (b.above_us, b.up_to_us);
        let found: Vec<_> = look.canary.latencies.buckets.iter().map(ends).collect();
        assert_eq!(found, [(2, 3), (895, 1023)]);
    }

    #[test]
    fn what_the_old_version_was_asked_before_does_not_count() {
        let mut tally = Tally::default();
        assert_eq!(tally.add(look((0, 0), (1000, 500))), None);
        assert_eq!(tally.add(look((0, 0), (2000, 500))), None, "still alone");
        let total = tally.add(look((10, 1), (2100, 501))).unwrap();
        assert_eq!(total.canary.counts, Counts::new(10, 1));
        assert_eq!(total.stable.counts, Counts::new(100, 1));
        assert_eq!(total.stable.latencies.count(), 100);
    }

    #[test]
    fn a_router_that_begins_anew_takes_nothing_away() {
        let mut tally = Tally::default();
        tally.add(look((0, 0), (0, 0)));
        tally.add(look((50, 5), (100, 5)));
        let total = tally.add(look((20, 1), (130, 2))).unwrap();
        assert_eq!(total.canary.counts, Counts::new(70, 6));
        assert_eq!(total.stable.counts, Counts::new(230, 7));
        assert_eq!(total.canary.latencies.count(), 70);
    }

    #[test]
    fn an_error_that_is_made_good_after_a_look_is_not_counted_for_ever() {
        let mut tally = Tally::default();
        tally.add(look((0, 0), (0, 0)));
        tally.add(look((50, 5), (100, 0)));
        tally.add(look((60, 4), (110, 0)));
        let total = tally.add(look((70, 6), (120, 0))).unwrap();
        assert_eq!(total.canary.counts, Counts::new(70, 6));
    }
}
