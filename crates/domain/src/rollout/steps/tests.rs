use super::*;
use crate::spec::{Analysis, BlueGreen, Canary};

fn said(plan: &Plan) -> String {
    let steps: Vec<String> = plan.steps.iter().map(Step::to_string).collect();
    steps.join(", ")
}

fn canary(steps: &[&str]) -> Strategy {
    Strategy::Canary(Canary {
        steps: steps.iter().map(|s| s.parse().unwrap()).collect(),
        ..Canary::default()
    })
}

#[test]
fn a_canary_ends_with_all_the_traffic_and_without_the_old_set() {
    for (steps, compiled) in [
        (
            &["5%", "bake 2m", "analyse", "pause", "100%"][..],
            "5%, bake 2m, analyse, pause, 100%, retire",
        ),
        (&["5%", "pause"], "5%, pause, 100%, retire"),
        (&[], "100%, retire"),
        (&["100%", "bake 1m"], "100%, bake 1m, retire"),
    ] {
        assert_eq!(
            said(&Plan::compile(&canary(steps), Beginning::Older)),
            compiled
        );
    }
}

#[test]
fn blue_green_validates_only_where_there_is_something_to_validate() {
    let plain = BlueGreen::default();
    let analysed = BlueGreen {
        analysis: Some(Analysis::default()),
        ..plain.clone()
    };
    let bare = BlueGreen {
        monitor: TimeSpan::from_secs(0),
        keep_old: TimeSpan::from_secs(0),
        ..plain.clone()
    };
    for (blue_green, compiled, is_analysed) in [
        (plain, "preview, switch, monitor 1m, keep old 10m", false),
        (
            analysed,
            "preview, validate, switch, monitor 1m, keep old 10m",
            true,
        ),
        (bare, "preview, switch, retire", false),
    ] {
        let plan = Plan::compile(&Strategy::BlueGreen(blue_green), Beginning::Older);
        assert_eq!(said(&plan), compiled);
        assert_eq!(
            (plan.is_analysed, plan.is_all_at_once()),
            (is_analysed, true)
        );
    }
}

#[test]
fn the_first_version_and_one_that_comes_back_take_no_steps() {
    let blue_green = Strategy::BlueGreen(BlueGreen::default());
    for (strategy, first, back) in [
        (Strategy::default(), "bring up", "roll"),
        (blue_green, "bring up", "switch, retire"),
        (canary(&["5%", "pause", "100%"]), "bring up", "100%, retire"),
    ] {
        assert_eq!(said(&Plan::compile(&strategy, Beginning::Nothing)), first);
        assert_eq!(said(&Plan::compile(&strategy, Beginning::TakenBack)), back);
    }
}

#[test]
fn only_a_rollout_over_an_older_version_is_held() {
    let held = |strategy| {
        [Beginning::Older, Beginning::TakenBack, Beginning::Nothing]
            .map(|beginning| Plan::compile(&strategy, beginning).on_failure == OnFailure::Hold)
    };
    let on_failure = OnFailure::Hold;
    let canary = Strategy::Canary(Canary {
        on_failure,
        ..Canary::default()
    });
    let blue_green = Strategy::BlueGreen(BlueGreen {
        on_failure,
        ..BlueGreen::default()
    });
    assert_eq!(held(canary), [true, false, false]);
    assert_eq!(held(blue_green), [true, false, false]);
    assert_eq!(held(Strategy::Canary(Canary::default())), [false; 3]);
}

#[test]
fn weights_are_those_of_the_last_step_that_moved_them() {
    let plan = Plan::compile(
        &canary(&["5%", "bake 2m", "50%", "pause", "100%"]),
        Beginning::Older,
    );
    let weights: Vec<String> = (0..plan.steps.len())
        .map(|i| plan.weight_at(i).to_string())
        .collect();
    assert_eq!(weights, ["5%", "5%", "50%", "50%", "100%", "100%"]);
    assert_eq!(plan.weight_before(0), Percent::ZERO);
    assert_eq!(plan.weight_before(2), Percent::of(5));
    assert_eq!((plan.mover(3), plan.last_mover()), (Some(2), 4));
    assert_eq!(plan.name_of(1), "step 2 of 6 (bake 2m)");
    let plan = Plan::compile(&Strategy::BlueGreen(BlueGreen::default()), Beginning::Older);
    assert_eq!(plan.weight_at(0), Percent::ZERO);
    assert_eq!(plan.keeps_old(), Some(TimeSpan::from_secs(600)));
}
