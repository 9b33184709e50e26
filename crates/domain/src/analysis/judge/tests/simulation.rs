//! The bound on false aborts, by simulation with fixed seeds. The benchmark does more of it.

use super::*;

/// SplitMix64, after Steele, Lea and Flood (2014): numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn failures(&mut self, requests: u64, rate: f64) -> u64 {
        (0..requests).filter(|_| self.next() < rate).count() as u64
    }
}

/// Requests to the canary until it was called worse, if it was, in so many looks.
fn until_worse(
    seed: u64,
    analysis: &Analysis,
    looks: u64,
    canary: f64,
    stable: f64,
) -> Option<u64> {
    let mut numbers = Numbers(seed);
    let mut judge = Judge::without_interval(analysis);
    let (mut new, mut old) = (Counts::default(), Counts::default());
    for _ in 0..looks {
        new += Counts::new(10, numbers.failures(10, canary));
        old += Counts::new(40, numbers.failures(40, stable));
        judge.look(&look(
            (new.requests, new.failures),
            (old.requests, old.failures),
        ));
        if judge.evidence()[0].standing == Standing::Worse {
            return Some(new.requests);
        }
    }
    None
}

#[test]
fn good_versions_are_aborted_at_most_as_often_as_was_said() {
    let lenient = Analysis {
        false_aborts: Percent::of(10),
        ..errors("0%")
    };
    // Without a difference, and with none allowed: the hardest case.
    let runs = 200;
    let aborted = (0..runs).filter(|seed| until_worse(*seed, &lenient, 150, 0.05, 0.05).is_some());
    let aborted = aborted.count() as u64;
    assert!(aborted * 100 <= 10 * runs, "{aborted} of {runs}");
}

#[test]
fn versions_that_are_as_slow_are_aborted_at_most_as_often_as_was_said() {
    let analysis = Analysis {
        latency: Some(LatencyAnalysis {
            quantile: "p90".parse().expect("a quantile"),
            max_increase: Percent::of(0),
        }),
        false_aborts: Percent::of(10),
        ..Analysis::default()
    };
    let aborts = |seed: u64, factor: f64| {
        let mut numbers = Numbers(seed);
        let mut judge = Judge::without_interval(&analysis);
        let mut both = Look::default();
        (0..80).any(|_| {
            add(&mut numbers, &mut both.canary.latencies, 10, factor);
            add(&mut numbers, &mut both.stable.latencies, 40, 1.0);
            judge.look(&both);
            judge.evidence()[0].standing == Standing::Worse
        })
    };
    let runs = 100;
    let aborted = (0..runs).filter(|seed| aborts(*seed, 1.0)).count() as u64;
    assert!(aborted * 100 <= 10 * runs, "{aborted} of {runs}");
    assert!(
        (0..10).all(|seed| aborts(seed, 2.0)),
        "twice as slow is found"
    );
}

/// Adds requests whose latencies are exponentially distributed.
fn add(numbers: &mut Numbers, histogram: &mut Histogram, requests: u64, factor: f64) {
    for _ in 0..requests {
        let us = -(1.0 - numbers.next()).ln() * 20_000.0 * factor;
        // Buckets of a millisecond.
        let above_us = us as u64 / 1000 * 1000;
        let bucket = Bucket {
            above_us,
            up_to_us: above_us + 1000,
            count: 1,
        };
        histogram.add(&Histogram {
            buckets: vec![bucket],
        });
    }
}

#[test]
fn bad_versions_are_found_soon() {
    for (more, within) in [(0.05, 2000), (0.2, 200)] {
        let mut found: Vec<u64> = (0..20)
            .map(|seed| {
                until_worse(seed, &errors("1%"), 400, 0.01 + more, 0.01).unwrap_or(u64::MAX)
            })
            .collect();
        found.sort_unstable();
        assert!(
            found[10] <= within,
            "half were found within {} requests",
            found[10]
        );
    }
}
