//! Which target an environment has.

use domain::ids::EnvironmentName;
use domain::platform::{KubernetesTarget, PlatformSpec, Target};
use proto::deployer::v1::LiveState;

use crate::docker::{self, Docker};
use crate::error::TargetError;
use crate::kubernetes::{self, Kubernetes};
use crate::wanted::{Wanted, not_done_here};

/// What the environments of a platform run on.
#[derive(Clone)]
pub(crate) struct Targets {
    platform: PlatformSpec,
    /// Where an environment is on the machine's container engine.
    pub(crate) docker: Option<Docker>,
    pub(crate) kubernetes: Kubernetes,
}

/// What one environment runs on.
pub(crate) enum Place<'t> {
    Docker(&'t Docker),
    Kubernetes(&'t Kubernetes, &'t KubernetesTarget),
}

impl Targets {
    pub(crate) fn new(
        platform: PlatformSpec,
        docker: Option<Docker>,
        kubernetes: Kubernetes,
    ) -> Self {
        Self {
            platform,
            docker,
            kubernetes,
        }
    }

    /// Whether any environment needs this machine's container engine.
    pub(crate) fn need_engine(platform: &PlatformSpec) -> bool {
        let mut all = platform.environments.values();
        all.any(|environment| matches!(environment.target, Target::Docker(_)))
    }

    /// What an environment runs on, as the platform file says now.
    pub(crate) fn of(&self, environment: &EnvironmentName) -> Result<Place<'_>, TargetError> {
        let known = self.platform.environments.get(environment);
        match (known.map(|known| &known.target), &self.docker) {
            (Some(Target::Docker(_)), Some(docker)) => Ok(Place::Docker(docker)),
            (Some(Target::Kubernetes(target)), _) => {
                Ok(Place::Kubernetes(&self.kubernetes, target))
            }
            _ => Err(TargetError::Unsupported(format!(
                "platform.yaml, as this deployer has it, has no environment {environment}; a deployer that was started \
                 with the newest one is needed"
            ))),
        }
    }

    /// Removes a version from an environment in which nothing ran before it.
    pub(crate) async fn remove_version(&self, wanted: &Wanted) -> Result<(), TargetError> {
        match self.of(&wanted.environment)? {
            Place::Docker(docker) => docker.remove_version(wanted).await,
            Place::Kubernetes(kubernetes, _) => Ok(kubernetes.remove(wanted).await?),
        }
    }

    /// What the file asks for and is not done, for the log of the rollout.
    pub(crate) fn notes(&self, wanted: &Wanted) -> Vec<String> {
        match self.of(&wanted.environment) {
            Ok(Place::Docker(_)) => not_done_here(&wanted.deploy),
            Ok(Place::Kubernetes(..)) => kubernetes::not_done_here(&wanted.deploy),
            Err(_) => Vec::new(),
        }
    }

    /// What really runs in an environment.
    pub(crate) async fn live_state(
        &self,
        environment: &EnvironmentName,
    ) -> Result<LiveState, TargetError> {
        match self.of(environment)? {
            Place::Docker(docker) => Ok(docker::live_state(docker, environment).await?),
            Place::Kubernetes(kubernetes, _) => {
                Ok(kubernetes::live_state(kubernetes, environment).await?)
            }
        }
    }
}
