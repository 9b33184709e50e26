use super::*;
use crate::spec::{ErrorAnalysis, LatencyAnalysis, Percent};

mod latencies;
mod simulation;

fn errors(max_increase: &str) -> Analysis {
    Analysis {
        errors: Some(ErrorAnalysis {
            max_increase: max_increase.parse().expect("a share"),
        }),
        ..Analysis::default()
    }
}

fn look(canary: (u64, u64), stable: (u64, u64)) -> Look {
    let traffic = |(requests, failures)| Traffic {
        counts: Counts::new(requests, failures),
        ..Traffic::default()
    };
    Look {
        canary: traffic(canary),
        stable: traffic(stable),
    }
}

/// So many looks, with so many requests and failures between each.
fn judged(analysis: &Analysis, looks: u64, canary: (u64, u64), stable: (u64, u64)) -> Judge {
    let mut judge = Judge::new(analysis);
    for i in 1..=looks {
        let total = |(requests, failures)| (requests * i, failures * i);
        judge.look(&look(total(canary), total(stable)));
    }
    judge
}

fn verdict(judge: &Judge, patience: Patience) -> Option<Verdict> {
    judge
        .conclusion(patience)
        .map(|conclusion| conclusion.verdict)
}

#[test]
fn a_canary_that_fails_more_than_allowed_fails_at_once() {
    let judge = judged(&errors("1%"), 10, (20, 4), (180, 1));
    let conclusion = judge.conclusion(Patience::StepGoesOn).expect("no doubt");
    assert_eq!(conclusion.verdict, Verdict::Fail);
    assert_eq!(
        conclusion.reason,
        "errors: 20 % of 200 requests to the new version failed, and 0.56 % of 1800 to the other at the same time; at most \
         1 % more is allowed, and that it is more is certain to 99 %"
    );
    let evidence = &judge.evidence()[0];
    assert_eq!((evidence.standing, evidence.looks), (Standing::Worse, 10));
    assert!(evidence.difference.lower >= 0.01, "{evidence:?}");
    assert!(evidence.difference.upper > 0.19, "{evidence:?}");
}

#[test]
fn a_canary_that_is_as_good_passes_before_the_step_is_over() {
    let judge = judged(&errors("1%"), 40, (100, 0), (900, 1));
    assert_eq!(verdict(&judge, Patience::StepGoesOn), Some(Verdict::Pass));
    let evidence = &judge.evidence()[0];
    assert_eq!(evidence.standing, Standing::NotWorse);
    assert!(evidence.difference.upper <= 0.01, "{evidence:?}");
    assert!(evidence.difference.lower < 0.0, "{evidence:?}");
}

#[test]
fn what_is_not_certain_waits_and_passes_when_the_step_is_over() {
    let judge = judged(&errors("1%"), 10, (20, 0), (180, 1));
    assert_eq!(verdict(&judge, Patience::StepGoesOn), None);
    assert_eq!(verdict(&judge, Patience::StepIsOver), Some(Verdict::Pass));
}

#[test]
fn with_too_few_requests_it_waits_and_is_then_inconclusive() {
    let judge = judged(&errors("1%"), 10, (5, 0), (45, 0));
    assert_eq!(verdict(&judge, Patience::StepIsOver), None);
    let conclusion = judge
        .conclusion(Patience::Exhausted)
        .expect("an answer in any case");
    assert_eq!(conclusion.verdict, Verdict::Inconclusive);
    assert!(
        conclusion.reason.ends_with("; 100 requests are wanted"),
        "{}",
        conclusion.reason
    );
}

#[test]
fn what_looks_worse_without_certainty_is_left_to_a_person() {
    let judge = judged(&errors("1%"), 1, (120, 3), (1080, 1));
    assert_eq!(judge.evidence()[0].standing, Standing::Open);
    assert_eq!(verdict(&judge, Patience::StepIsOver), None);
    assert_eq!(
        verdict(&judge, Patience::Exhausted),
        Some(Verdict::Inconclusive)
    );
}

#[test]
fn without_requests_there_is_no_data() {
    let analysis = errors("1%");
    for judge in [
        Judge::new(&analysis),
        judged(&analysis, 10, (0, 0), (1000, 0)),
        judged(&analysis, 10, (1000, 1000), (0, 0)),
    ] {
        assert_eq!(verdict(&judge, Patience::StepIsOver), None);
        let conclusion = judge
            .conclusion(Patience::Exhausted)
            .expect("an answer in any case");
        assert_eq!(conclusion.verdict, Verdict::NoData, "never a pass");
    }
}

#[test]
fn where_nothing_is_compared_nothing_is_wrong() {
    let judge = judged(&Analysis::default(), 3, (10, 10), (10, 0));
    assert_eq!(verdict(&judge, Patience::StepGoesOn), Some(Verdict::Pass));
    assert!(judge.evidence().is_empty());
}

#[test]
fn an_outage_of_both_is_nobodys_fault() {
    let mut judge = Judge::new(&errors("1%"));
    let (mut canary, mut stable) = (Counts::default(), Counts::default());
    for minute in 0..200_u64 {
        // While everything fails, the canary gets half of the traffic; before and after, a twentieth.
        let (share, failing) = if (80..120).contains(&minute) {
            (500, 30)
        } else {
            (50, 0)
        };
        canary += Counts::new(share, share * failing / 100);
        stable += Counts::new(1000 - share, (1000 - share) * failing / 100);
        judge.look(&look(
            (canary.requests, canary.failures),
            (stable.requests, stable.failures),
        ));
    }
    assert!(
        canary.rate() > 2.0 * stable.rate(),
        "all in all the canary failed much more often"
    );
    assert_eq!(judge.evidence()[0].standing, Standing::NotWorse);
    assert!((judge.evidence()[0].stable_rate - canary.rate()).abs() < 1e-9);
}

#[test]
fn a_version_that_goes_bad_late_is_found() {
    let mut judge = Judge::new(&errors("1%"));
    let (mut canary, mut stable) = (Counts::default(), Counts::default());
    let mut seen = 0;
    while judge.evidence()[0].standing != Standing::Worse {
        seen += 1;
        assert!(seen < 1100, "5 % of failures were not found in 100 looks");
        canary += Counts::new(20, u64::from(seen > 1000));
        stable += Counts::new(180, u64::from(seen % 10 == 0));
        judge.look(&look(
            (canary.requests, canary.failures),
            (stable.requests, stable.failures),
        ));
    }
    assert!(seen > 1000, "it was good for a thousand looks");
}

#[test]
fn a_router_that_counts_anew_is_compared_on() {
    let mut judge = judged(&errors("1%"), 5, (20, 0), (180, 1));
    judge.look(&look((10, 1), (90, 0)));
    let evidence = &judge.evidence()[0];
    assert_eq!(evidence.canary, Counts::new(110, 1));
    assert_eq!(evidence.stable, Counts::new(990, 5));
}

#[test]
fn the_same_looks_give_the_same_judge() {
    let analysis = errors("1%");
    assert_eq!(
        judged(&analysis, 30, (20, 1), (180, 1)),
        judged(&analysis, 30, (20, 1), (180, 1))
    );
    let mut twice = judged(&analysis, 30, (20, 1), (180, 1));
    twice.look(&look((600, 30), (5400, 30)));
    assert_eq!(
        twice,
        judged(&analysis, 30, (20, 1), (180, 1)),
        "a look that comes twice changes nothing"
    );
}

#[test]
fn without_an_interval_the_verdicts_are_the_same() {
    let analysis = errors("1%");
    let (mut full, mut quick) = (Judge::new(&analysis), Judge::without_interval(&analysis));
    for i in 1..=60 {
        let look = look((20 * i, i), (180 * i, i));
        full.look(&look);
        quick.look(&look);
        assert_eq!(
            full.conclusion(Patience::StepGoesOn),
            quick.conclusion(Patience::StepGoesOn)
        );
    }
    assert_eq!(quick.evidence()[0].standing, Standing::Worse);
}

#[test]
fn more_failures_than_requests_are_not_believed() {
    let judge = judged(&errors("1%"), 1, (10, 50), (10, 0));
    assert_eq!(judge.evidence()[0].canary, Counts::new(10, 10));
    assert!(Percent::ALL.fraction() >= judge.evidence()[0].canary_rate);
}

#[test]
fn all_attempts_together_share_the_bound_on_false_aborts() {
    let analysis = errors("1%");
    let of = |attempt| Judge::of_attempt(&analysis, attempt).evidence()[0].false_aborts;
    let all: f64 = (1..=1000).map(of).sum();
    assert!(all <= 0.01 + 1e-12, "{all}");
    assert!((of(1) - 0.009).abs() < 1e-12);
    assert!(of(2) > of(3) && of(1000) > 0.0);
}

#[test]
fn an_attempt_that_takes_over_wants_more_evidence_and_finds_it() {
    let analysis = errors("1%");
    let looks_until = |attempt| {
        let mut judge = Judge::of_attempt(&analysis, attempt);
        (1..1000_u64).find(|i| {
            judge.look(&look((20 * i, 2 * i), (180 * i, *i)));
            verdict(&judge, Patience::StepGoesOn) == Some(Verdict::Fail)
        })
    };
    let (first, second) = (looks_until(1), looks_until(2));
    assert!(first.is_some() && second > first, "{first:?} {second:?}");
    assert!(
        second < first.map(|looks| looks * 3),
        "{first:?} {second:?}"
    );
}
