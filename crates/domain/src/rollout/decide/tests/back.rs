use super::*;

fn rolled_back(next: &Next) -> Option<&str> {
    match next {
        Next::RolledBack { reason } => Some(reason),
        _ => None,
    }
}

#[test]
fn going_back_is_at_once_where_the_old_set_is_whole() {
    let bed = Bed::new(canary(&["50%", "bake 1m", "100%"]), 1)
        .sees((10, 10), (5, 5), "50%")
        .aborted(1);
    assert_eq!(bed.brings(1), "10/5 0%", "the new set stays until then");
    let mut bed = bed.sees((10, 10), (5, 5), "0%");
    bed.seen.candidate.is_idle = false;
    assert_eq!(
        bed.brings(2),
        "10/5 0%",
        "and until its requests have ended"
    );
    bed.seen.candidate.is_idle = true;
    assert_eq!(bed.brings(2), "10/0 0%");
    assert!(stays(&bed.next(2)));
    let bed = bed.sees((10, 10), (0, 0), "0%");
    assert_eq!(
        rolled_back(&bed.next(2)),
        Some("aborted by ada: it is slow")
    );
}

/// argoproj/argo-rollouts#3372: all traffic went back to a stable version that had been scaled down.
#[test]
fn the_old_set_gets_no_more_than_it_carries() {
    let bed = Bed::new(canary(&["50%", "100%"]), 2).aborted(1);
    let mut bed = bed.sees((0, 0), (10, 10), "100%");
    for (ready, weight) in [(0, "100%"), (3, "70%"), (3, "70%"), (2, "70%"), (9, "10%")] {
        let last = bed.seen.weight.to_string();
        bed = bed.sees((10, ready), (10, 10), &last);
        assert_eq!(bed.brings(2), format!("10/10 {weight}"));
        bed.seen.weight = bed.decides(2).weight;
    }
}

/// argoproj/argo-rollouts#4841: the weight never came to 0.
#[test]
fn nothing_is_left_with_the_new_set_once_the_old_one_is_whole() {
    for weight in ["1%", "33.3333%", "50%", "99%", "100%"] {
        for index in 0..4 {
            let bed = Bed::new(canary(&["1%", "50%", "100%"]), index)
                .sees((10, 10), (10, 10), weight)
                .aborted(1);
            assert_eq!(bed.decides(1).weight, Percent::ZERO, "{index} at {weight}");
        }
    }
}

/// argoproj/argo-rollouts 6abd1f815: it waited for a whole old set while there was no room for one.
#[test]
fn replicas_of_both_make_room_for_each_other() {
    let mut bed = Bed::new(rolling(), 0)
        .sees((0, 0), (10, 10), "100%")
        .aborted(1);
    for _ in 0..100 {
        let Sizes { stable, candidate } = bed.decides(2).sizes;
        assert!(stable + candidate <= 11, "{stable} and {candidate}");
        let was = bed.seen.stable.ready + bed.seen.candidate.ready;
        assert!(was >= 10, "enough are ready all the time");
        bed = bed.sees((stable, stable), (candidate, candidate), "0%");
        bed.seen.weight = share(bed.seen.candidate, bed.seen.stable);
    }
    assert_eq!(bed.seen.candidate.total, 0);
    assert_eq!(
        rolled_back(&bed.next(2)),
        Some("aborted by ada: it is slow")
    );
}

#[test]
fn where_both_are_short_each_gets_its_part_and_the_new_one_never_more() {
    let bed = Bed::new(canary(&["50%", "100%"]), 1).aborted(1);
    let bed = bed.sees((10, 2), (10, 6), "100%");
    assert_eq!(bed.brings(2), "10/10 75%");
    let bed = bed.sees((10, 2), (10, 6), "20%");
    assert_eq!(bed.brings(2), "10/10 20%");
}

#[test]
fn the_only_healthy_set_stays_and_it_ends_nevertheless() {
    let bed = Bed::new(canary(&["50%", "100%"]), 1).aborted(1);
    let bed = bed.sees((10, 0), (10, 10), "100%");
    assert_eq!(bed.brings(2), "10/10 100%");
    assert!(stays(&bed.next(130)));
    assert_eq!(bed.brings(131), "10/10 100%");
    assert_eq!(
        rolled_back(&bed.next(131)),
        Some(
            "aborted by ada: it is slow; going back made no progress within 2m: 0 of 10 replicas of the version before are ready, 100% of \
             the traffic still goes to the new version, 10 replicas of the new version are left"
        )
    );
    let unused = bed.sees((10, 0), (10, 10), "0%");
    assert_eq!(unused.brings(125), "10/10 0%");
}

#[test]
fn blue_green_switches_back_at_once() {
    let bed = Bed::new(blue_green(), 3)
        .sees((10, 10), (10, 10), "100%")
        .aborted(1);
    assert_eq!(bed.brings(1), "10/10 0%");
    let waits = bed.sees((10, 4), (10, 10), "100%");
    assert_eq!(waits.brings(1), "10/10 100%", "the new set carries more");
    let worse = waits.sees((10, 4), (10, 3), "100%");
    assert_eq!(worse.brings(1), "10/10 0%");
}

#[test]
fn the_first_version_of_all_is_removed() {
    for router in [Router::Exact, Router::ByReplicas] {
        let plan = Plan::compile(&Strategy::default(), Beginning::Nothing);
        let mut bed = Bed::new(plan, 0).sees((0, 0), (10, 4), "100%").aborted(1);
        (bed.terms.stable_replicas, bed.terms.router) = (0, router);
        assert_eq!(bed.brings(1), "0/0 0%");
        let bed = bed.sees((0, 0), (0, 0), "0%");
        assert_eq!(
            rolled_back(&bed.next(1)),
            Some("aborted by ada: it is slow")
        );
    }
}

#[test]
fn a_second_abort_and_late_steps_change_nothing() {
    let bed = Bed::new(canary(&["50%", "100%"]), 0).aborted(1);
    let before = bed.progress.clone();
    let after = bed
        .aborted(50)
        .does(Act::StepEntered { index: 1 }, 51)
        .does(promoted(true), 52)
        .does(paused(), 53);
    assert_eq!(after.progress, before);
}
