use super::*;

fn latency(max_increase: &str) -> Analysis {
    Analysis {
        latency: Some(LatencyAnalysis {
            quantile: "p90".parse().expect("a quantile"),
            max_increase: max_increase.parse().expect("a share"),
        }),
        ..Analysis::default()
    }
}

/// Requests of 10 ms, and one in ten of `tail_ms`, in buckets that are a tenth wider each.
fn traffic(looks: u64, each: u64, tail_ms: u64) -> Traffic {
    let mut ends = Vec::new();
    let mut end = 1000.0_f64;
    while end < 1e7 {
        ends.push((end as u64, 0));
        end *= 1.1;
    }
    let mut put = |us: u64, count: u64| {
        let bucket = ends
            .iter_mut()
            .find(|(end, _)| *end >= us)
            .expect("a bucket");
        bucket.1 += count;
    };
    put(10_000, looks * each * 4 / 5);
    put(tail_ms * 1000, looks * each / 5);
    Traffic {
        counts: Counts::new(looks * each, 0),
        latencies: Histogram::from_ends(ends),
    }
}

fn judged(analysis: &Analysis, canary_ms: u64) -> Judge {
    let mut judge = Judge::new(analysis);
    for i in 1..=40 {
        judge.look(&Look {
            canary: traffic(i, 20, canary_ms),
            stable: traffic(i, 180, 100),
        });
    }
    judge
}

#[test]
fn a_canary_that_is_slower_than_allowed_fails() {
    let judge = judged(&latency("20%"), 180);
    let conclusion = judge.conclusion(Patience::StepGoesOn).expect("no doubt");
    assert_eq!(conclusion.verdict, Verdict::Fail);
    let Measure::Latency(latencies) = judge.evidence()[0].measure else {
        panic!("{:?}", judge.evidence())
    };
    assert!((100_000..111_000).contains(&latencies.stable_us.expect("known")));
    assert!(latencies.canary_us.expect("known") > latencies.allowed_us.expect("known"));
    assert!(
        conclusion
            .reason
            .starts_with("latency p90: 20 % of 780 requests"),
        "{}",
        conclusion.reason
    );
}

#[test]
fn a_canary_that_is_slower_within_what_is_allowed_passes() {
    for (allowed, canary_ms) in [("20%", 100), ("20%", 115), ("50%", 130)] {
        let judge = judged(&latency(allowed), canary_ms);
        assert_ne!(judge.evidence()[0].standing, Standing::Worse, "{canary_ms}");
        assert_eq!(
            verdict(&judge, Patience::StepIsOver),
            Some(Verdict::Pass),
            "{canary_ms}"
        );
    }
}

#[test]
fn where_nobody_measures_latencies_there_is_no_data() {
    let mut judge = Judge::new(&latency("20%"));
    judge.look(&look((1000, 0), (1000, 0)));
    assert_eq!(verdict(&judge, Patience::Exhausted), Some(Verdict::NoData));
}

#[test]
fn a_slow_canary_fails_though_its_requests_do_not() {
    let both = Analysis {
        errors: errors("1%").errors,
        ..latency("20%")
    };
    let judge = judged(&both, 200);
    let standings: Vec<Standing> = judge.evidence().iter().map(|e| e.standing).collect();
    assert_eq!(standings[1], Standing::Worse);
    assert_ne!(standings[0], Standing::Worse);
    assert_eq!(verdict(&judge, Patience::StepGoesOn), Some(Verdict::Fail));
    assert!(
        (judge.evidence()[0].false_aborts - 0.005).abs() < 1e-12,
        "they share the bound"
    );
}
