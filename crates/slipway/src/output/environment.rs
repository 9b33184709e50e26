//! Environments for scripts: what `environment list` and `environment show` print.

use proto::gateway::v1;
use serde::Serialize;

use super::time::rfc3339;

/// The answer of `environment list`.
#[derive(Debug, Serialize)]
pub struct Environments {
    /// In promotion order.
    pub environments: Vec<Environment>,
}

/// A named place to deploy to.
#[derive(Debug, Serialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// What runs in it.
    pub services: Vec<Service>,
    /// Fed from the production registry.
    pub production: bool,
    /// How many people must agree before a deployment.
    pub approvals: u32,
    /// `docker` or `kubernetes`.
    pub target: String,
}

/// A service in an environment.
#[derive(Debug, Serialize)]
pub struct Service {
    /// The service.
    pub service: String,
    /// The version that takes the traffic.
    pub version: String,
    /// `sha256:…` of its image.
    pub image_digest: String,
    /// Where it answers.
    pub address: String,
    /// Replicas that are ready.
    pub replicas_ready: u32,
    /// When that version came.
    pub deployed_at: Option<String>,
    /// The run that brought it.
    pub run_id: String,
    /// Replicas that there should be.
    pub replicas: u32,
    /// What a rollback would go back to; empty if nothing.
    pub previous_version: String,
    /// What is under way or wrong; empty if all is well.
    pub note: String,
    /// Whether it is known what really runs; if not, `replicas_ready` is 0 and means nothing.
    pub is_live_known: bool,
}

impl Environments {
    /// Several environments.
    #[must_use]
    pub fn of(environments: &[v1::Environment]) -> Self {
        Self {
            environments: environments.iter().map(Environment::of).collect(),
        }
    }
}

impl Environment {
    /// One environment.
    #[must_use]
    pub fn of(environment: &v1::Environment) -> Self {
        let environment = environment.clone();
        Self {
            name: environment.name,
            services: environment.services.into_iter().map(Service::of).collect(),
            production: environment.production,
            approvals: environment.approvals,
            target: environment.target,
        }
    }
}

impl Service {
    fn of(service: v1::DeployedService) -> Self {
        Self {
            service: service.service,
            version: service.version,
            image_digest: service.image_digest,
            address: service.address,
            replicas_ready: service.replicas_ready,
            deployed_at: rfc3339(service.deployed_at.as_ref()),
            run_id: service.run_id,
            replicas: service.replicas,
            previous_version: service.previous_version,
            note: service.note,
            is_live_known: service.is_live_known,
        }
    }
}
