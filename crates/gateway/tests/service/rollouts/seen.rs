//! What people see of rollouts that go on, and of many.

use super::*;

#[tokio::test]
async fn a_watch_shows_each_event_and_ends_with_the_rollout() {
    let gateway = TestGateway::start().await;
    at_the_pause(&gateway).await;
    let watch = WatchRolloutRequest {
        service: "orders".to_owned(),
        environment: HERE.to_owned(),
        run_id: String::new(),
    };
    let mut watcher = client(&gateway, OTHER_TOKEN);
    let mut watch = watcher.watch_rollout(watch).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().state, "paused");
    let mut client = client(&gateway, TOKEN);
    client.resume_rollout(resume()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().state, "running");
    happen(&gateway, HERE, entered("run-2", 2)).await;
    let baking = watch.next().await.unwrap().unwrap();
    assert_eq!((baking.step, baking.weight), (3, 10.0));
    happen(&gateway, HERE, entered("run-2", 3)).await;
    let moving = watch.next().await.unwrap().unwrap();
    assert_eq!((moving.weight, moving.goal_weight), (10.0, 100.0));
    happen(&gateway, HERE, completed("run-2")).await;
    let end = watch.next().await.unwrap().unwrap();
    assert_eq!(
        (end.state.as_str(), end.address.as_str(), end.weight),
        ("completed", "http://orders.test", 100.0)
    );
    assert_eq!(states(&end), ["done", "done", "done", "done", "skipped"]);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn rollouts_are_listed_with_those_under_way_first() {
    let gateway = TestGateway::start().await;
    at_the_pause(&gateway).await;
    for event in [started("run-4", "0.9.0"), completed("run-4")] {
        happen(&gateway, "test", event).await;
    }
    let list = |request: ListRolloutsRequest| {
        let mut client = client(&gateway, TOKEN);
        async move {
            let page = client.list_rollouts(request).await.unwrap().into_inner();
            let runs: Vec<String> = page.rollouts.into_iter().map(|r| r.run_id).collect();
            (runs, page.next_page_token)
        }
    };
    let all = eventually("all are known, those under way first", || async {
        let (runs, _) = list(ListRolloutsRequest::default()).await;
        (runs == ["run-2", "run-4", "run-1"]).then_some(())
    });
    all.await;
    let first = ListRolloutsRequest {
        page_size: 2,
        ..Default::default()
    };
    let (runs, page_token) = list(first.clone()).await;
    assert_eq!(runs, ["run-2", "run-4"]);
    let rest = list(ListRolloutsRequest {
        page_token,
        ..first.clone()
    });
    assert_eq!(rest.await, (vec!["run-1".to_owned()], String::new()));
    let of = |environment: &str, active_only| ListRolloutsRequest {
        environment: environment.to_owned(),
        service: "orders".to_owned(),
        active_only,
        ..Default::default()
    };
    assert_eq!(list(of("test", false)).await.0, ["run-4"]);
    assert_eq!(list(of("", true)).await.0, ["run-2"]);
    let strange = ListRolloutsRequest {
        page_token: "7".to_owned(),
        ..first
    };
    let status = client(&gateway, TOKEN).list_rollouts(strange).await;
    assert_eq!(status.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_rollout_that_memory_does_not_keep_is_found_by_its_run() {
    let gateway = TestGateway::start().await;
    at_the_pause(&gateway).await;
    happen(&gateway, HERE, completed("run-2")).await;
    for number in 0..100 {
        let run = format!("later-{number}");
        happen(&gateway, HERE, started(&run, "2.0.0")).await;
        happen(&gateway, HERE, completed(&run)).await;
    }
    let mut client = client(&gateway, TOKEN);
    let shown = client.get_rollout(get("run-2")).await.unwrap().into_inner();
    assert_eq!((shown.version.as_str(), shown.requests.len()), ("1.1.0", 1));
}

#[tokio::test]
async fn a_version_that_was_taken_out_again_says_so() {
    let gateway = TestGateway::start().await;
    at_the_pause(&gateway).await;
    happen(&gateway, HERE, completed("run-2")).await;
    let run: RunId = "run-2".parse().unwrap();
    let at = Timestamp::now();
    happen(&gateway, HERE, Event::RestoreStarted { run, at }).await;
    let mut client = client(&gateway, TOKEN);
    let shown = client.get_rollout(get("")).await.unwrap().into_inner();
    assert_eq!(shown.state, "restoring");
    refused(
        client.promote_rollout(promote(false)).await,
        "no rollout of orders is under way in production; the last one, of 1.1.0 by run run-2, is being taken out again",
    );
    let end = End::Restored {
        reason: "its tests are red".to_owned(),
        address: String::new(),
    };
    happen(&gateway, HERE, ended("run-2", end)).await;
    let shown = client.get_rollout(get("")).await.unwrap().into_inner();
    assert_eq!(
        (shown.state.as_str(), shown.reason.as_str(), shown.weight),
        ("restored", "its tests are red", 0.0)
    );
}

#[tokio::test]
async fn a_watched_run_says_at_which_step_its_rollout_is() {
    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    gateway.do_stages(&run, &["image", "publish"]).await;
    let watched = WatchRunRequest {
        run_id: run.clone(),
    };
    let mut runs = gateway.runs();
    let mut watch = runs.watch_run(watched).await.unwrap().into_inner();
    gateway.begin_stage(&run, "deploy:test").await;
    for event in [
        started(&run, "0.1.0"),
        entered(&run, 1),
        acted(
            &run,
            Act::Paused {
                by: None,
                reason: "a person decides".to_owned(),
            },
        ),
    ] {
        happen(&gateway, "test", event).await;
    }
    loop {
        let run = watch.next().await.unwrap().unwrap();
        let stage = run.stages.iter().find(|s| s.name == "deploy:test").unwrap();
        match &stage.rollout {
            Some(rollout) if rollout.is_paused => {
                let expected = "step 2 of 5 (pause), paused: a person decides";
                assert_eq!(rollout.standing, expected);
                break;
            }
            _ => assert!(matches!(stage.state.as_str(), "queued" | "running")),
        }
    }
}
