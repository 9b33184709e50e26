use super::*;

#[test]
fn a_weight_waits_for_the_replicas_that_carry_it() {
    let bed = Bed::new(canary(&["5%", "bake 1m", "25%", "100%"]), 2);
    let bed = bed.sees((10, 10), (1, 1), "5%");
    assert_eq!(bed.brings(0), "10/3 5%", "the weight before stays");
    let bed = bed.sees((10, 10), (3, 2), "5%");
    assert_eq!(bed.brings(0), "10/3 5%");
    let bed = bed.sees((10, 10), (3, 3), "5%");
    assert_eq!(bed.brings(0), "10/3 25%");
    assert!(stays(&bed.next(0)), "until the router has it");
    let bed = bed.sees((10, 10), (3, 3), "25%");
    assert_eq!(bed.next(0), Next::Enter(3));
    let coarse = bed.sees((10, 10), (3, 3), "24.6%");
    assert_eq!(coarse.next(0), Next::Enter(3));
}

#[test]
fn a_candidate_without_a_ready_replica_has_no_traffic() {
    for index in 0..4 {
        let bed = Bed::new(canary(&["25%", "bake 1m", "50%", "100%"]), index);
        assert_eq!(
            bed.sees((10, 10), (5, 0), "25%").decides(0).weight,
            Percent::ZERO
        );
    }
}

#[test]
fn some_traffic_is_not_none_and_nearly_all_is_not_all() {
    let bed = Bed::new(canary(&["0.1%", "100%"]), 0).sees((10, 10), (1, 1), "0%");
    assert!(stays(&bed.next(0)));
    let bed = Bed::new(canary(&["100%"]), 0).sees((10, 10), (10, 10), "99.9%");
    assert!(stays(&bed.next(0)));
}

#[test]
fn a_bake_counts_from_when_the_weight_is_there_and_begins_anew_when_it_was_lost() {
    let bed = Bed::new(canary(&["25%", "bake 1m", "100%"]), 1).sees((10, 10), (3, 3), "25%");
    let Next::Stay { wake_after, .. } = bed.next(20) else {
        panic!("{:?}", bed.next(20));
    };
    assert_eq!(wake_after, Some(Duration::from_secs(40)));
    assert_eq!(bed.next(60), Next::Enter(2));
    let lost = bed.sees((10, 10), (3, 1), "10%");
    assert_eq!(lost.brings(20), "10/3 10%");
    assert_eq!(lost.next(20), Next::Enter(0));
    let back = lost
        .does(Act::StepEntered { index: 0 }, 20)
        .sees((10, 10), (3, 3), "25%");
    assert_eq!(back.next(40), Next::Enter(1));
    let back = back.does(Act::StepEntered { index: 1 }, 40);
    assert!(stays(&back.next(60)) && back.next(100) == Next::Enter(2));
}

#[test]
fn what_a_person_let_go_on_goes_on_though_the_weight_was_lost() {
    let bed = Bed::new(canary(&["25%", "pause", "100%"]), 1).sees((10, 10), (3, 3), "25%");
    let lost = bed
        .does(paused(), 10)
        .does(promoted(false), 20)
        .sees((12, 12), (3, 3), "10%");
    assert_eq!(lost.next(20), Next::Enter(2));
}

#[test]
fn a_time_that_was_paused_does_not_count() {
    let bed = Bed::new(canary(&["25%", "bake 1m", "100%"]), 1).sees((10, 10), (3, 3), "25%");
    let bed = bed.does(paused(), 50);
    assert!(stays(&bed.next(1000)), "and there is no deadline");
    let bed = bed.does(Act::Resumed { by: somebody() }, 1000);
    assert!(stays(&bed.next(1009)));
    assert_eq!(bed.next(1010), Next::Enter(2));
}

#[test]
fn a_pause_waits_for_a_person() {
    let bed = Bed::new(canary(&["25%", "pause", "100%"]), 1).sees((10, 10), (3, 3), "25%");
    let Next::Pause { reason } = bed.next(0) else {
        panic!("{:?}", bed.next(0));
    };
    assert_eq!(reason, "step 2 of 4 (pause) waits for a person");
    for act in [Act::Resumed { by: somebody() }, promoted(false)] {
        let by_itself = Act::Paused {
            by: None,
            reason: reason.clone(),
        };
        let bed = Bed::new(canary(&["25%", "pause", "100%"]), 1)
            .sees((10, 10), (3, 3), "25%")
            .does(by_itself, 0);
        assert!(stays(&bed.next(100_000)));
        assert_eq!(bed.does(act, 100_000).next(100_000), Next::Enter(2));
    }
}

#[test]
fn while_it_is_paused_nothing_rises() {
    let bed = Bed::new(canary(&["5%", "50%", "100%"]), 1).sees((10, 10), (5, 5), "5%");
    assert_eq!(bed.brings(0), "10/5 50%");
    let bed = bed.does(paused(), 0);
    assert_eq!(bed.brings(0), "10/5 5%");
    let fallen = bed.sees((10, 10), (5, 5), "0%");
    assert_eq!(fallen.brings(0), "10/5 5%", "but what was there comes back");
}

#[test]
fn only_a_pass_ends_an_analysis() {
    let bed = || {
        let steps = ["25%", "bake 1m", "analyse", "100%"];
        Bed::new(analysed(&steps), 2).sees((10, 10), (3, 3), "25%")
    };
    assert_eq!(bed().judged(Verdict::Pass, 1).next(1), Next::Enter(3));
    assert!(stays(&bed().next(299)));
    assert!(matches!(bed().next(300), Next::Pause { .. }));
    for unclear in [Verdict::NoData, Verdict::Inconclusive] {
        let next = bed().judged(unclear, 1).next(1);
        assert!(matches!(next, Next::Pause { .. }));
    }
    for bad in [Verdict::Fail, Verdict::Error] {
        assert!(matches!(bed().judged(bad, 1).next(1), Next::Abort { .. }));
    }
    let bed = || {
        let steps = ["25%", "bake 1m", "100%"];
        Bed::new(analysed(&steps), 1).sees((10, 10), (3, 3), "25%")
    };
    assert!(
        stays(&bed().next(60)),
        "a bake that is watched needs one too"
    );
    assert_eq!(bed().judged(Verdict::Pass, 1).next(60), Next::Enter(2));
    assert!(stays(&bed().judged(Verdict::Pass, 1).next(59)));
    assert!(matches!(
        bed().judged(Verdict::Fail, 1).next(2),
        Next::Abort { .. }
    ));
}

#[test]
fn a_person_who_lets_an_unclear_analysis_go_on_gives_it_its_time_again() {
    let bed = Bed::new(analysed(&["25%", "analyse", "100%"]), 1).sees((10, 10), (3, 3), "25%");
    let unclear = Act::Paused {
        by: None,
        reason: "unclear".to_owned(),
    };
    let bed = bed.judged(Verdict::Inconclusive, 1).does(unclear, 300);
    let resumed = bed.does(Act::Resumed { by: somebody() }, 1000);
    assert!(stays(&resumed.next(1299)));
    assert!(matches!(resumed.next(1300), Next::Pause { .. }));
}

#[test]
fn a_late_verdict_counts_only_if_it_is_bad() {
    let bed = |verdict| {
        let late = Act::Judged {
            index: 0,
            verdict,
            evidence: Vec::new(),
        };
        let bed = Bed::new(analysed(&["25%", "analyse", "100%"]), 1);
        bed.sees((10, 10), (3, 3), "25%").does(late, 1).next(1)
    };
    assert!(stays(&bed(Verdict::Pass)));
    assert!(matches!(bed(Verdict::Fail), Next::Abort { .. }));
}

#[test]
fn promotion_skips_waits_but_no_replica() {
    let bed = Bed::new(canary(&["25%", "bake 1h", "50%", "pause", "100%"]), 1);
    let bed = bed.sees((10, 10), (3, 3), "25%");
    let one = bed.does(promoted(false), 1);
    assert_eq!(one.next(1), Next::Enter(2));
    let all = one.does(promoted(true), 2);
    assert_eq!(all.next(2), Next::Enter(4));
    let all = all.does(Act::StepEntered { index: 4 }, 3);
    assert_eq!(all.brings(3), "10/10 25%");
    assert!(stays(&all.next(3)));
    let all = all.sees((10, 10), (10, 10), "100%");
    assert_eq!(all.next(4), Next::Enter(5));
}

#[test]
fn no_progress_is_a_failure_until_somebody_holds_it() {
    let plan = canary(&["25%", "100%"]);
    let bed = Bed::new(plan.clone(), 0).sees((10, 10), (3, 1), "0%");
    assert!(stays(&bed.next(119)));
    let Next::Abort { reason } = bed.next(120) else {
        panic!("{:?}", bed.next(120));
    };
    assert_eq!(
        reason,
        "no progress within 2m: step 1 of 3 (25%) waits for replicas: 1 of 3 are ready"
    );
    let mut later = Bed::new(plan.clone(), 0).sees((10, 10), (3, 1), "0%");
    later.seen.advanced_at = at(100);
    assert!(stays(&later.next(219)));
    let held = Bed::new(plan.on_failure(OnFailure::Hold), 0).sees((10, 10), (3, 1), "0%");
    let Next::Pause { reason } = held.next(120) else {
        panic!("{:?}", held.next(120));
    };
    let held = held.does(Act::Paused { by: None, reason }, 120);
    assert!(held.progress.is_held() && stays(&held.next(5000)));
    assert_eq!(held.brings(5000), "10/3 0%");
    let again = held.does(Act::Retried { by: somebody() }, 5000);
    assert!(stays(&again.next(5001)) && again.progress.paused.is_none());
}

#[test]
fn a_candidate_that_can_not_come_up_is_taken_back_even_while_it_is_paused() {
    let mut bed = Bed::new(canary(&["25%", "100%"]), 0).does(paused(), 0);
    bed.seen.failed = Some("no such image".to_owned());
    let reason = "no such image".to_owned();
    assert_eq!(bed.next(1), Next::Abort { reason });
}

#[test]
fn the_old_set_goes_only_after_the_switch_was_read_back_and_drained() {
    let bed = Bed::new(canary(&["100%"]), 1);
    let retiring = |bed: Bed, weight, ready, is_idle, seconds| {
        let mut bed = bed.sees((10, 10), (10, ready), weight);
        bed.seen.stable.is_idle = is_idle;
        (bed.brings(seconds), bed)
    };
    let (brings, bed) = retiring(bed, "99%", 10, true, 1);
    assert_eq!(brings, "10/10 100%");
    assert_eq!(bed.next(1), Next::Enter(0), "the switch comes first again");
    let (brings, bed) = retiring(bed, "100%", 9, true, 1);
    assert_eq!(brings, "10/10 100%");
    let (brings, bed) = retiring(bed, "100%", 10, false, 9);
    assert_eq!(brings, "10/10 100%");
    let (brings, bed) = retiring(bed, "100%", 10, true, 1);
    assert_eq!(brings, "0/10 100%");
    let (brings, bed) = retiring(bed, "100%", 10, false, 10);
    assert_eq!(brings, "0/10 100%", "its time is over");
    assert!(stays(&bed.next(10)));
    let bed = bed.sees((0, 0), (10, 10), "100%");
    assert_eq!(bed.next(10), Next::Complete);
}

#[test]
fn a_new_set_that_dies_while_the_old_one_goes_gives_its_traffic_back() {
    let bed = Bed::new(canary(&["100%"]), 1).sees((6, 6), (10, 0), "100%");
    assert_eq!(bed.brings(1), "10/10 0%", "which is filled up again");
    let bed = bed.sees((6, 6), (10, 0), "0%");
    assert_eq!(bed.brings(1), "10/10 0%");
    assert_eq!(bed.next(1), Next::Enter(0));
}

#[test]
fn blue_green_goes_all_at_once_and_keeps_the_old_set() {
    let bed = Bed::new(blue_green(), 0);
    let first = bed.decides(0);
    assert_eq!((first.sizes.stable, first.sizes.candidate), (10, 10));
    assert!(first.preview && first.weight == Percent::ZERO);
    let bed = bed.sees((10, 10), (10, 9), "0%");
    assert!(stays(&bed.next(0)));
    let bed = bed.sees((10, 10), (10, 10), "0%");
    assert_eq!(bed.next(0), Next::Enter(1));
    let bed = bed.does(Act::StepEntered { index: 1 }, 1);
    assert!(bed.decides(1).preview && stays(&bed.next(1)));
    let bed = bed.judged(Verdict::Pass, 2);
    assert_eq!(bed.next(2), Next::Enter(2));
    let bed = bed.does(Act::StepEntered { index: 2 }, 3);
    assert_eq!(bed.brings(3), "10/10 100%");
    let bed = bed.sees((10, 10), (10, 8), "0%");
    assert_eq!(bed.brings(3), "10/10 0%", "never a part of it");
    let bed = bed.sees((10, 10), (10, 10), "100%");
    assert_eq!(bed.next(3), Next::Enter(3));
    let bed = bed
        .does(Act::StepEntered { index: 3 }, 4)
        .judged(Verdict::Pass, 5);
    assert!(stays(&bed.next(63)) && !bed.decides(63).preview);
    assert_eq!(bed.brings(64), "10/10 100%");
    assert_eq!(bed.next(64), Next::Complete);
    let flapping = bed.sees((10, 10), (10, 9), "100%");
    assert_eq!(flapping.brings(64), "10/10 100%");
    assert!(stays(&flapping.next(64)));
    let dead = flapping.sees((10, 10), (10, 0), "100%");
    assert_eq!(dead.brings(64), "10/10 0%");
}

#[test]
fn without_a_router_the_numbers_of_replicas_make_the_weight() {
    let bed = Bed::new(canary(&["30%", "bake 1m", "100%"]), 0).by_replicas();
    assert_eq!(bed.brings(0), "10/3 0%");
    let bed = bed.sees((10, 10), (3, 3), "23.0769%");
    assert_eq!(bed.brings(0), "7/3 23.0769%");
    assert!(stays(&bed.next(0)));
    let bed = bed.sees((7, 7), (3, 3), "30%");
    assert_eq!(bed.next(0), Next::Enter(1));
    let bed = bed.does(Act::StepEntered { index: 2 }, 60);
    assert_eq!(bed.brings(60), "7/6 30%");
    let bed = bed.sees((0, 0), (10, 10), "100%");
    assert_eq!(bed.next(60), Next::Enter(3));
    let bed = bed.does(Act::StepEntered { index: 3 }, 61);
    assert_eq!(bed.next(61), Next::Complete);
}

#[test]
fn a_rolling_update_replaces_one_after_the_other() {
    let bed = Bed::new(rolling(), 0);
    assert_eq!(bed.brings(0), "10/1 0%");
    let bed = bed.sees((10, 10), (1, 0), "0%");
    assert_eq!(bed.brings(0), "10/1 0%");
    let bed = bed.sees((10, 10), (1, 1), "9.0909%");
    assert_eq!(bed.brings(0), "9/1 9.0909%");
    let bed = bed.sees((9, 9), (1, 1), "10%");
    assert_eq!(bed.brings(0), "9/2 10%");
    let held = bed.does(paused(), 1);
    assert_eq!(held.brings(1), "9/1 10%");
    let vanished = held.sees((2, 2), (1, 1), "33%");
    assert_eq!(
        vanished.brings(1),
        "9/1 33.3333%",
        "what vanished comes back"
    );
    let bed = vanished.does(Act::Resumed { by: somebody() }, 2);
    let bed = bed.sees((0, 0), (10, 10), "100%");
    assert_eq!(bed.next(3), Next::Complete);
}

#[test]
fn a_smaller_new_version_takes_over_share_by_share() {
    let mut bed = Bed::new(rolling(), 0);
    bed.terms.replicas = 2;
    assert_eq!(
        bed.brings(0),
        "10/1 0%",
        "nothing goes before something came"
    );
    let bed = bed.sees((10, 10), (1, 1), "9%");
    assert_eq!(bed.brings(0), "5/1 9.0909%");
    let bed = bed.sees((5, 5), (2, 2), "28%");
    assert_eq!(bed.brings(0), "0/2 28.5714%");
}

#[test]
fn the_first_version_of_all_just_comes_up() {
    let plan = Plan::compile(&Strategy::Canary(Canary::default()), Beginning::Nothing);
    let mut bed = Bed::new(plan, 0).sees((0, 0), (0, 0), "0%");
    bed.terms.stable_replicas = 0;
    assert_eq!(bed.brings(0), "0/10 0%");
    let bed = bed.sees((0, 0), (10, 9), "100%");
    assert!(stays(&bed.next(0)));
    let bed = bed.sees((0, 0), (10, 10), "100%");
    assert_eq!(bed.next(0), Next::Complete);
}
