//! What a deployment would change: asked of the deployer, completed by the gateway.

use proto::preview::v1::DeploymentPreview;
use tonic::{Code, Status};

use crate::environments::{deploy, placed, published, released, rollback};
use crate::harness::{TestGateway, platform, small_service};
use crate::parts::with_parts;

async fn ask(
    gateway: &TestGateway,
    version: &str,
    environment: &str,
) -> Result<DeploymentPreview, Status> {
    let mut environments = gateway.environments();
    let asked = environments.preview_deploy(deploy(version, environment));
    Ok(asked.await?.into_inner())
}

#[tokio::test]
async fn a_preview_starts_no_run_and_tells_the_stages_that_there_would_be() {
    let (gateway, _stop, _serving) = with_parts(platform(2)).await;
    let run = gateway.start_run(&small_service("orders")).await;
    published(&gateway, &run, 'a').await;
    let preview = ask(&gateway, "0.1.0-rc.1", "test").await.unwrap();
    assert_eq!(preview.version, "0.1.0");
    assert_eq!(preview.stages, ["deploy:test"]);
    let told = |repository: &str, available: &str| {
        [
            format!("from {repository}"),
            format!("available in {available}"),
            format!("made by {}", run.run_id),
        ]
    };
    let development = "dev.test:5000/orders";
    assert_eq!(preview.notes, told(development, development));

    // The run would make it a release first; until then the production registry does not have the image.
    let preview = ask(&gateway, "0.1.0", "production").await.unwrap();
    let stages = ["approve:production", "promote", "deploy:production"];
    assert_eq!(preview.stages, stages);
    let (first, rest) = preview.notes.split_at(2);
    assert!(first[0].starts_with("2 people must agree"), "{first:?}");
    assert!(
        first[1].contains("takes only releases, and 0.1.0 is a candidate"),
        "{first:?}"
    );
    assert_eq!(rest, told("prod.test:5000/orders", development));

    released(&gateway, &run, 'a').await;
    let preview = ask(&gateway, "0.1.0", "production").await.unwrap();
    let production = "prod.test:5000/orders";
    assert_eq!(preview.notes[1..], told(production, production));
    assert_eq!(preview.obstacles, Vec::<String>::new());
    assert_eq!(gateway.list_runs().await.len(), 1);
}

#[tokio::test]
async fn a_second_release_of_a_version_is_an_obstacle() {
    let (gateway, _stop, _serving) = with_parts(platform(0)).await;
    let run = gateway.start_run(&small_service("orders")).await;
    published(&gateway, &run, 'a').await;
    released(&gateway, &run, 'b').await;
    let preview = ask(&gateway, "0.1.0-rc.1", "production").await.unwrap();
    assert!(
        preview.obstacles.len() == 1 && preview.obstacles[0].contains("was released already"),
        "{:?}",
        preview.obstacles
    );
}

#[tokio::test]
async fn going_back_is_previewed_from_where_the_version_was() {
    let (gateway, _stop, _serving) = with_parts(platform(0)).await;
    let repository = small_service("orders");
    for digit in ['a', 'b'] {
        repository.commit("fix: Go on").unwrap();
        let run = gateway.start_run(&repository).await;
        released(&gateway, &run, digit).await;
        placed(&gateway, "production", &run, digit).await;
    }
    let preview = gateway
        .environments()
        .preview_rollback(rollback(""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(preview.stages, ["deploy:production"]);
    assert!(
        preview.notes[0].contains("prod.test:5000/orders"),
        "{:?}",
        preview.notes
    );
    assert_eq!(gateway.list_runs().await.len(), 2);
}

#[tokio::test]
async fn why_there_is_no_preview_is_said() {
    let (gateway, stop, serving) = with_parts(platform(0)).await;
    let run = gateway.start_run(&small_service("orders")).await;
    published(&gateway, &run, 'f').await;
    let why = ask(&gateway, "0.1.0", "test").await.unwrap_err();
    assert_eq!(why.code(), Code::FailedPrecondition);
    assert!(why.message().contains("there is no `k8s`"), "{why:?}");
    for (version, environment) in [("9.9.9", "test"), ("0.1.0", "staging")] {
        let why = ask(&gateway, version, environment).await.unwrap_err();
        assert_eq!(why.code(), Code::NotFound, "{why:?}");
    }
    stop.cancel();
    serving.join_all().await;
    let why = ask(&gateway, "0.1.0", "test").await.unwrap_err();
    assert_eq!(why.code(), Code::Unavailable);
    assert!(why.message().contains("is it running"), "{why:?}");

    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await;
    published(&gateway, &run, 'a').await;
    let why = ask(&gateway, "0.1.0", "test").await.unwrap_err();
    assert_eq!(why.code(), Code::FailedPrecondition);
    assert!(why.message().contains("--deployer-url"), "{why:?}");
}
