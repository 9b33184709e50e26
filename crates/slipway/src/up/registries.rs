//! Registries that the platform file expects on this machine: started as containers where nothing answers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use domain::platform::{PlatformSpec, Registry};
use engine::labels;
use engine::{ContainerSpec, Engine, Mount, PublishPort, RestartPolicy};
use registry::{RegistryConfig, RetryPolicy};
use tokio::time::Instant;

/// The registry's image; it keeps its data in `/var/lib/registry` and listens on 5000.
const IMAGE: &str = "registry:2";
const PORT: u16 = 5000;
/// How long a new registry may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the registries on this machine that do not answer.
pub(super) async fn ensure(engine: &Engine, platform: &PlatformSpec) -> anyhow::Result<()> {
    let registries = &platform.registries;
    for (name, spec) in [
        ("development", &registries.development),
        ("production", &registries.production),
    ] {
        if answers(spec).await.is_ok() {
            continue;
        }
        if let Some(port) = port_here(spec) {
            start(engine, name, port)
                .await
                .with_context(|| format!("the {name} registry at {}", spec.address))?;
            wait(spec)
                .await
                .with_context(|| format!("the {name} registry at {} was started", spec.address))?;
        } else {
            tracing::warn!(
                "the {name} registry at {} does not answer; stages that need it wait",
                spec.address
            );
        }
    }
    Ok(())
}

/// The port of a registry on this machine.
fn port_here(spec: &Registry) -> Option<u16> {
    let (host, port) = spec.address.rsplit_once(':')?;
    if host == "localhost" || host.starts_with("127.") {
        port.parse().ok()
    } else {
        None
    }
}

async fn answers(spec: &Registry) -> anyhow::Result<()> {
    let config = RegistryConfig::new(&spec.address)
        .with_endpoint(spec.endpoint())
        .with_retry(RetryPolicy::NEVER);
    match registry::Registry::new(&config)?.ping().await {
        // It answers, and wants credentials that we don't need to know here.
        Err(error) if error.class() == registry::ErrorClass::Refused => Ok(()),
        other => Ok(other?),
    }
}

async fn wait(spec: &Registry) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match answers(spec).await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context("it does not answer"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn start(engine: &Engine, name: &str, port: u16) -> anyhow::Result<()> {
    engine.ensure_image(IMAGE, None).await?;
    let container = format!("slipway-registry-{port}");
    let spec = ContainerSpec {
        name: container.clone(),
        image: IMAGE.to_owned(),
        env: BTreeMap::from([(
            "REGISTRY_STORAGE_DELETE_ENABLED".to_owned(),
            "true".to_owned(),
        )]),
        labels: labels::of([(labels::ROLE, "registry")]),
        restart: RestartPolicy::UnlessStopped,
        ports: vec![PublishPort {
            container: PORT,
            host: Some(port),
            host_ip: "127.0.0.1".to_owned(),
        }],
        mounts: vec![Mount {
            volume: container,
            target: "/var/lib/registry".to_owned(),
            read_only: false,
            labels: labels::of([(labels::ROLE, "registry")]),
        }],
        ..ContainerSpec::default()
    };
    tracing::info!("starting a {name} registry on 127.0.0.1:{port}");
    engine
        .replace_service(&spec, Duration::from_secs(5))
        .await?;
    Ok(())
}
