use std::collections::HashMap;

use anyhow::Result;
use bollard::Docker;
use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::ListNetworksOptionsBuilder;
use engine::{Attachment, ContainerSpec};

use crate::setup::Bench;

async fn networks(docker: &Docker, name: &str) -> Result<usize> {
    let filters = HashMap::from([("name", vec![name])]);
    let options = ListNetworksOptionsBuilder::default()
        .filters(&filters)
        .build();
    Ok(docker.list_networks(Some(options)).await?.len())
}

/// Makes a network as another process would at the same moment; whether the engine let it.
async fn make(docker: &Docker, bench: &Bench, name: &str) -> bool {
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        labels: Some(bench.labels().into_iter().collect()),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(request).await.is_ok()
}

#[tokio::test]
async fn two_networks_of_one_name_become_one_again() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let docker = Docker::connect_with_defaults()?;
    let name = bench.name("net");
    make(&docker, &bench, &name).await;
    // Newer engines refuse the second by themselves.
    make(&docker, &bench, &name).await;
    let kept = bench.engine.ensure_network(&name, &bench.labels()).await?;
    assert_eq!(networks(&docker, &name).await?, 1);

    let server = ContainerSpec {
        name: bench.name("sleeper"),
        image: testkit::docker::BUSYBOX.to_owned(),
        command: Some(["sleep", "60"].map(str::to_owned).to_vec()),
        labels: bench.labels(),
        networks: vec![Attachment::new(&name, ["sleeper"])],
        ..ContainerSpec::default()
    };
    let id = bench.engine.start_service(&server).await?;
    for _ in 0..3 {
        make(&docker, &bench, &name).await;
        let found = bench.engine.ensure_network(&name, &bench.labels()).await?;
        assert_eq!(found, kept, "the one that a container is in stays");
    }
    assert_eq!(networks(&docker, &name).await?, 1);
    bench.engine.remove(&id).await?;
    bench.engine.remove_network(&name).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_want_a_network_at_the_same_moment_get_the_same() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let name = bench.name("net");
    let (engine, labels) = (bench.engine.clone(), bench.labels());
    let asking = (0..16).map(|_| engine.ensure_network(&name, &labels));
    let ids = futures::future::try_join_all(asking).await?;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    bench.engine.remove_network(&name).await?;
    Ok(())
}
