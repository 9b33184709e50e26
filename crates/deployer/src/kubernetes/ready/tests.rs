use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

fn workload() -> Workload {
    Workload {
        what: "Deployment shop".to_owned(),
        observed: true,
        wanted: 2,
        updated: 2,
        total: 2,
        available: 2,
        overdue: None,
        can_not_make_pods: None,
        pods: Vec::new(),
        in_the_way: Vec::new(),
    }
}

fn at_once(workload: Workload) -> Verdict {
    judge(&[workload], DEADLINE, |_| Duration::ZERO)
}

fn why(verdict: Verdict) -> String {
    match verdict {
        Verdict::Waiting { why, .. } => why,
        other => panic!("not waiting: {other:?}"),
    }
}

fn waiting(why: &str, message: &str) -> Workload {
    let container = Container {
        name: "shop".to_owned(),
        waiting: Some((why.to_owned(), message.to_owned())),
        ended: Some((3, "Error".to_owned())),
        restarts: 2,
        ..Container::default()
    };
    Workload {
        available: 1,
        pods: vec![Pod {
            name: "shop-1".to_owned(),
            containers: vec![container],
            ..Pod::default()
        }],
        ..workload()
    }
}

#[test]
fn the_conditions_of_kubectl_are_asked_in_its_order() {
    assert_eq!(at_once(workload()), Verdict::Ready);
    let mut w = Workload {
        observed: false,
        updated: 1,
        total: 3,
        available: 0,
        overdue: Some("over".to_owned()),
        ..workload()
    };
    assert!(why(at_once(w.clone())).contains("has not seen it"));
    w.observed = true;
    assert!(matches!(at_once(w.clone()), Verdict::Waiting { .. }));
    let verdict = judge(std::slice::from_ref(&w), DEADLINE, |_| STALE);
    let Verdict::Failed { reason, .. } = verdict else {
        panic!("the deadline is over")
    };
    assert!(reason.contains("progress deadline (over)"), "{reason}");
    w.overdue = None;
    assert!(why(at_once(w.clone())).contains("1 of 2 replicas are new"));
    w.updated = 2;
    assert!(why(at_once(w.clone())).contains("1 old replicas are left"));
    w.total = 2;
    assert!(why(at_once(w.clone())).contains("0 of 2 replicas are ready"));
    w.available = 2;
    assert_eq!(at_once(w), Verdict::Ready);
}

#[test]
fn every_workload_must_be_ready() {
    let late = Workload {
        available: 1,
        what: "StatefulSet db".to_owned(),
        ..workload()
    };
    let verdict = judge(&[workload(), late], DEADLINE, |_| Duration::ZERO);
    assert!(why(verdict).starts_with("StatefulSet db: "));
}

#[test]
fn what_never_gets_ready_fails_at_once_with_the_output_that_says_why() {
    let Verdict::Failed { reason, output } = at_once(waiting("CrashLoopBackOff", "back-off"))
    else {
        panic!("it crashes")
    };
    assert_eq!(
        reason,
        "shop in shop-1 ended with exit code 3, 3 times (CrashLoopBackOff)"
    );
    assert!(output.is_some_and(|output| output.previous && output.pod == "shop-1"));
    for (why, words) in [
        ("ImagePullBackOff", "can't be pulled"),
        ("InvalidImageName", "can't be pulled"),
    ] {
        let verdict = at_once(waiting(why, "nope"));
        let Verdict::Failed { reason, .. } = verdict else {
            panic!("{why}: {verdict:?}")
        };
        assert!(
            reason.contains(words) && reason.contains("nope"),
            "{reason}"
        );
    }
}

#[test]
fn what_may_go_away_by_itself_gets_its_time() {
    for (w, grace) in [
        (waiting("ErrImagePull", "dial tcp: refused"), MOMENT),
        (waiting("CreateContainerConfigError", "no key"), MOMENT / 5),
        (
            Workload {
                updated: 1,
                can_not_make_pods: Some("exceeded quota: pods".to_owned()),
                ..workload()
            },
            MOMENT,
        ),
        (
            Workload {
                available: 0,
                pods: vec![Pod {
                    name: "shop-1".to_owned(),
                    unschedulable: Some("0/1 nodes".to_owned()),
                    ..Pod::default()
                }],
                ..workload()
            },
            DEADLINE / 2,
        ),
    ] {
        let before = judge(std::slice::from_ref(&w), DEADLINE, |_| grace / 2);
        assert!(matches!(before, Verdict::Waiting { .. }), "{before:?}");
        let after = judge(&[w], DEADLINE, |_| grace);
        assert!(matches!(after, Verdict::Failed { .. }), "{after:?}");
    }
}

#[test]
fn pods_of_the_version_before_do_not_count_against_the_new_one() {
    let unseen = Workload {
        observed: false,
        ..waiting("CrashLoopBackOff", "")
    };
    assert!(matches!(at_once(unseen), Verdict::Waiting { .. }));
    // One that is done has no more to say.
    let done = Workload {
        available: 2,
        ..waiting("CrashLoopBackOff", "")
    };
    assert_eq!(at_once(done), Verdict::Ready);
}

#[test]
fn a_container_that_only_ever_runs_is_named() {
    let mut w = waiting("", "");
    w.pods[0].containers[0] = Container {
        name: "shop".to_owned(),
        ..Container::default()
    };
    assert!(why(at_once(w.clone())).contains("does not answer its readiness check"));
    assert_eq!(suspect(&[w]).map(|output| output.previous), Some(false));
}

#[test]
fn a_pod_that_does_not_come_up_is_broken() {
    assert!(is_broken(&waiting("ImagePullBackOff", "").pods[0]));
    assert!(is_broken(&waiting("", "").pods[0]));
    assert!(!is_broken(&Pod::default()));
}
