//! What should run: a version of a service with its configuration, as one value.

use std::time::Duration;

use domain::ids::{Digest, EnvironmentName, RunId, ServiceName};
use domain::spec::{Deploy, Rolling, ServiceSpec, Strategy};
use sha2::{Digest as _, Sha256};

/// A version of a service, with the configuration that travels with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) service: ServiceName,
    pub(crate) environment: EnvironmentName,
    pub(crate) version: String,
    /// The run that brings it.
    pub(crate) run: RunId,
    /// `host/name` of the image.
    pub(crate) repository: String,
    pub(crate) digest: Digest,
    /// The `deploy` section as it is in this environment.
    pub(crate) deploy: Deploy,
}

/// How long requests under way at a replica may last after it got its last one.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a rollout may go on without progress.
const DEADLINE: Duration = Duration::from_secs(120);

impl Wanted {
    /// The image, by digest.
    pub(crate) fn image(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }

    /// What tells this version and configuration from every other: replicas with the same key are the same.
    ///
    /// The number of replicas is not part of it, so scaling restarts nothing.
    pub(crate) fn key(&self) -> String {
        let alike = Deploy {
            replicas: 1,
            strategy: Strategy::default(),
            ..self.deploy.clone()
        };
        let configuration =
            serde_json::to_vec(&alike).expect("the deploy section has only text keys");
        let mut hash = Sha256::new();
        hash.update(self.digest.as_str());
        hash.update([0]);
        hash.update(configuration);
        hex::encode(hash.finalize())[..10].to_owned()
    }

    pub(crate) fn drain(&self) -> Duration {
        self.deploy.drain.map_or(DRAIN, |d| d.get())
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deploy.deadline.map_or(DEADLINE, |d| d.get())
    }

    /// The batches of a rolling update.
    pub(crate) fn rolling(&self) -> Rolling {
        match &self.deploy.strategy {
            Strategy::Rolling(rolling) => rolling.clone(),
            Strategy::BlueGreen(_) | Strategy::Canary(_) => Rolling::default(),
        }
    }
}

/// The `deploy` section of a service in an environment, with the defaults of a file that has none.
pub(crate) fn deploy_in(spec: &ServiceSpec, environment: &EnvironmentName) -> Deploy {
    spec.deploy
        .clone()
        .unwrap_or_default()
        .in_environment(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(digest: char, deploy: Deploy) -> Wanted {
        Wanted {
            service: "a".parse().unwrap(),
            environment: "test".parse().unwrap(),
            version: "1.0.0".to_owned(),
            run: "r1".parse().unwrap(),
            repository: "r/a".to_owned(),
            digest: format!("sha256:{}", digest.to_string().repeat(64))
                .parse()
                .unwrap(),
            deploy,
        }
    }

    #[test]
    fn the_key_changes_with_image_and_configuration_but_not_with_scale() {
        let base = wanted('a', Deploy::default());
        assert_eq!(
            base.key(),
            wanted(
                'a',
                Deploy {
                    replicas: 5,
                    ..Deploy::default()
                }
            )
            .key()
        );
        assert_ne!(base.key(), wanted('b', Deploy::default()).key());
        assert_ne!(
            base.key(),
            wanted(
                'a',
                Deploy {
                    port: Some(1),
                    ..Deploy::default()
                }
            )
            .key()
        );
    }
}
