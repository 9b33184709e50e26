use super::*;

fn set(total: u32, ready: u32) -> Set {
    Set {
        total,
        ready,
        is_idle: true,
    }
}

fn sizes(stable: u32, candidate: u32) -> Sizes {
    Sizes { stable, candidate }
}

#[test]
fn replicas_come_as_near_to_the_weight_as_whole_numbers_can() {
    for (replicas, weight, may_surge, candidate, stable) in [
        (10, 5, false, 1, 9),
        (10, 5, true, 1, 10),
        (1, 5, true, 1, 1),
        (1, 5, false, 0, 1),
        (1, 50, true, 1, 1),
        (10, 30, false, 3, 7),
        (10, 30, true, 3, 7),
        (10, 0, true, 0, 10),
        (10, 100, true, 10, 0),
        (1, 100, false, 1, 0),
        (3, 50, false, 2, 1),
        (3, 50, true, 2, 2),
        (4, 99, false, 3, 1),
        (4, 99, true, 4, 1),
        (2, 75, false, 1, 1),
        (2, 1, false, 1, 1),
        (100, 1, true, 1, 99),
    ] {
        let weight = Percent::of(weight);
        assert_eq!(
            split(replicas, weight, may_surge),
            sizes(stable, candidate),
            "{replicas} at {weight}, surge {may_surge}"
        );
    }
}

#[test]
fn a_routed_candidate_has_the_replicas_that_its_share_needs() {
    for (replicas, weight, needed) in [
        (10, "5%", 1),
        (10, "0%", 1),
        (10, "11%", 2),
        (3, "33.3333%", 1),
        (3, "33.3334%", 2),
        (3, "100%", 3),
        (1, "0.1%", 1),
    ] {
        let weight: Percent = weight.parse().unwrap();
        let size = exact(replicas, weight);
        assert_eq!(size, needed, "{replicas} at {weight}");
        assert!(
            carried(size, replicas) >= weight,
            "all of them ready carry it"
        );
    }
}

/// What a rolling update of as many replicas as before allows.
fn rolling(replicas: u32, surge: u32, unavailable: u32, stable: Set, candidate: Set) -> Leeway {
    Leeway {
        most: replicas + surge,
        keep: Sizes {
            stable: still_needed(replicas, candidate.ready, replicas, unavailable),
            candidate: still_needed(replicas, stable.ready, replicas, unavailable),
        },
    }
}

#[test]
fn replicas_move_within_surge_and_unavailability() {
    for (goal, stable, candidate, (replicas, surge, unavailable), next) in [
        // From peers' code: 10 replicas, 30 %, nothing unavailable, surge 3.
        (
            sizes(7, 3),
            set(10, 10),
            set(0, 0),
            (10, 3, 0),
            sizes(10, 3),
        ),
        (sizes(7, 3), set(10, 10), set(3, 2), (10, 3, 0), sizes(8, 3)),
        (sizes(7, 3), set(10, 10), set(3, 3), (10, 3, 0), sizes(7, 3)),
        // No surge: an old one goes first.
        (sizes(0, 3), set(3, 3), set(0, 0), (3, 0, 1), sizes(2, 0)),
        (sizes(0, 3), set(2, 2), set(0, 0), (3, 0, 1), sizes(2, 1)),
        (sizes(0, 3), set(2, 2), set(1, 1), (3, 0, 1), sizes(1, 1)),
        // What is not ready goes at once.
        (sizes(0, 3), set(3, 1), set(1, 0), (3, 1, 0), sizes(1, 1)),
        // The first version of all comes up in one go.
        (sizes(0, 5), set(0, 0), set(0, 0), (5, 1, 0), sizes(0, 5)),
        // Back to fewer: the stable ones first.
        (sizes(9, 1), set(5, 5), set(5, 5), (10, 1, 0), sizes(6, 5)),
        (sizes(9, 1), set(6, 6), set(5, 5), (10, 1, 0), sizes(6, 4)),
    ] {
        let leeway = rolling(replicas, surge, unavailable, stable, candidate);
        assert_eq!(
            toward(goal, stable, candidate, leeway),
            next,
            "{stable:?} {candidate:?} to {goal:?}"
        );
    }
}

#[test]
fn versions_of_different_sizes_are_needed_by_their_shares() {
    for (all, ready, whole, needed) in [
        (3, 0, 3, 3),
        (3, 1, 3, 2),
        (10, 1, 2, 5),
        (10, 2, 2, 0),
        (2, 3, 10, 2),
        (2, 5, 10, 1),
        (2, 10, 10, 0),
        (3, 12, 10, 0),
    ] {
        assert_eq!(
            still_needed(all, ready, whole, 0),
            needed,
            "{all} {ready}/{whole}"
        );
    }
    assert_eq!(still_needed(3, 0, 3, 5), 0, "all may be unavailable");
}
