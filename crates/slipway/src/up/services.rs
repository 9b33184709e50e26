//! Every service in this process, each as it would run by itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use bus::{Bus, BusConfig};
use domain::platform::PlatformSpec;
use service_kit::config::{Common, Listen};
use service_kit::grpc::listen;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::UpArgs;
use super::data::DataDirectory;

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// All services, with their listeners open.
pub(super) struct Parts {
    args: UpArgs,
    common: Common,
    sources: PathBuf,
    platform: PlatformSpec,
    bus: Bus,
    listeners: Listeners,
}

struct Listeners {
    gateway: TcpListener,
    builder: TcpListener,
    test_runner: TcpListener,
    registry_promoter: TcpListener,
    deployer: TcpListener,
}

impl Parts {
    /// Connects the bus and opens the listeners, so that every address is known before the first service begins.
    pub(super) async fn open(
        args: &UpArgs,
        data: &DataDirectory,
        platform: PlatformSpec,
        nats_url: &str,
        monitoring_url: Option<&str>,
    ) -> anyhow::Result<Self> {
        let bus = Bus::connect(&BusConfig {
            monitoring_url: monitoring_url.map(str::to_owned),
            ..BusConfig::new(nats_url, "slipway-up")
        })
        .await?;
        let common = Common {
            nats_url: nats_url.to_owned(),
            nats_replicas: 1,
            nats_credentials: None,
            nats_monitoring_url: None,
            platform: args.platform.clone().unwrap_or_default(),
            token_file: data.token_file(),
        };
        let listeners = Listeners {
            gateway: listen(args.listen).await?,
            builder: listen(LOOPBACK).await?,
            test_runner: listen(LOOPBACK).await?,
            registry_promoter: listen(LOOPBACK).await?,
            deployer: listen(LOOPBACK).await?,
        };
        Ok(Self {
            args: args.clone(),
            common,
            sources: data.sources(),
            platform,
            bus,
            listeners,
        })
    }

    pub(super) fn gateway_url(&self) -> String {
        url(&self.listeners.gateway)
    }

    /// Runs all services until `stop` is cancelled. When one ends, all do.
    pub(super) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self {
            args,
            common,
            sources,
            platform,
            bus,
            listeners,
        } = self;
        let own = Listen { listen: LOOPBACK };
        let parts = gateway::PartUrls {
            builder_url: Some(url(&listeners.builder)),
            test_runner_url: Some(url(&listeners.test_runner)),
            registry_promoter_url: Some(url(&listeners.registry_promoter)),
            deployer_url: Some(url(&listeners.deployer)),
        };
        let gateway = gateway::Config {
            common: common.clone(),
            listen: args.listen,
            source_cache: sources.clone(),
            parts,
        };
        let builder = builder::Config {
            common: common.clone(),
            listen: own.clone(),
            slots: args.slots,
            source_cache: sources.clone(),
            test_runners: Vec::new(),
        };
        let test_runner = test_runner::Config {
            common: common.clone(),
            listen: own.clone(),
            slots: args.slots,
            source_cache: sources.clone(),
            edge: args.edge.clone(),
        };
        let promoter = registry_promoter::Config {
            common: common.clone(),
            listen: own.clone(),
            slots: 4,
        };
        let deployer = deployer::Config {
            common,
            listen: own,
            slots: 64,
            publish_address: std::net::Ipv4Addr::LOCALHOST.into(),
            source_cache: sources,
            edge: args.edge,
        };
        let mut services = JoinSet::new();
        let (p, b, s) = (platform, bus, stop.clone());
        services.spawn(
            gateway::Service::new(gateway, p.clone(), b.clone())
                .with_listener(listeners.gateway)
                .run(s.clone()),
        );
        services.spawn(
            builder::Service::new(builder, p.clone(), b.clone())
                .with_listener(listeners.builder)
                .run(s.clone()),
        );
        let tests = test_runner::Service::new(test_runner, p.clone(), b.clone());
        services.spawn(tests.with_listener(listeners.test_runner).run(s.clone()));
        let promotions = registry_promoter::Service::new(promoter, p.clone(), b.clone());
        services.spawn(
            promotions
                .with_listener(listeners.registry_promoter)
                .run(s.clone()),
        );
        services.spawn(
            deployer::Service::new(deployer, p, b)
                .with_listener(listeners.deployer)
                .run(s),
        );
        let mut ended = Ok(());
        while let Some(service) = services.join_next().await {
            let service = service?;
            if !stop.is_cancelled() {
                stop.cancel();
                ended = service.and_then(|()| anyhow::bail!("a service ended by itself"));
            }
        }
        ended
    }
}

fn url(listener: &TcpListener) -> String {
    listener
        .local_addr()
        .map(|address| format!("http://{address}"))
        .unwrap_or_default()
}
