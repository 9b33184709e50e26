//! What should run: a version of a service with its configuration, as one value.

use std::time::Duration;

use domain::ids::{Digest, EnvironmentName, RunId, ServiceName};
use domain::rollout::Placement;
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
    /// The run that built it: its commit has the manifests.
    pub(crate) origin: RunId,
    /// The team that answers for the service.
    pub(crate) part_of: Option<String>,
    /// `host/name` of the image.
    pub(crate) repository: String,
    pub(crate) digest: Digest,
    /// The `deploy` section as it is in this environment.
    pub(crate) deploy: Deploy,
    /// Where the service answered before, if it did: it should stay there.
    pub(crate) address: Option<String>,
    /// It was there before what is taken out for it.
    pub(crate) returns: bool,
    /// What somebody else changed on its objects is overwritten.
    pub(crate) overwrites: bool,
}

/// How long requests under way at a replica may last after it got its last one.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a rollout may go on without progress.
const DEADLINE: Duration = Duration::from_secs(120);

impl Wanted {
    /// What a placement wants, with the configuration of the run that made the version.
    pub(crate) fn of(
        spec: &ServiceSpec,
        placement: &Placement,
        environment: &EnvironmentName,
    ) -> Self {
        Self {
            deploy: spec
                .deploy
                .clone()
                .unwrap_or_default()
                .in_environment(environment),
            service: spec.service.clone(),
            environment: environment.clone(),
            version: placement.version.clone(),
            run: placement.run.clone(),
            origin: placement.origin.clone(),
            part_of: spec.team.clone(),
            repository: placement.repository.clone(),
            digest: placement.digest.clone(),
            address: None,
            returns: false,
            overwrites: false,
        }
    }

    /// The same, coming back after a version that is taken out.
    pub(crate) fn returning(self) -> Self {
        Self {
            returns: true,
            ..self
        }
    }

    /// The same, with what somebody else changed overwritten if a person asks for that.
    pub(crate) fn overwriting(self, overwrites: bool) -> Self {
        Self { overwrites, ..self }
    }

    /// The same, at the address where the service answered before.
    pub(crate) fn at(self, address: Option<&str>) -> Self {
        Self {
            address: address.map(str::to_owned),
            ..self
        }
    }

    /// The image, by digest.
    pub(crate) fn image(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }

    /// What tells this version and configuration from every other: replicas with the same key are the same.
    ///
    /// What a container does not feel is not part of it, so scaling restarts nothing.
    pub(crate) fn key(&self) -> String {
        let alike = Deploy {
            replicas: 1,
            strategy: Strategy::default(),
            manifests: None,
            drain: None,
            deadline: None,
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

/// What the file asks for and this target does not do; for the log of the rollout.
pub(crate) fn not_done_here(deploy: &Deploy) -> Vec<String> {
    let min_ready = match &deploy.strategy {
        Strategy::Rolling(rolling) => rolling.min_ready,
        _ => None,
    };
    let min_ready = min_ready.map(|_| {
        "note: `min_ready` is for Kubernetes targets; it has no effect on a docker target"
            .to_owned()
    });
    let manifests = deploy.manifests.as_ref().map(|folder| {
        format!("note: `deploy.manifests` ({folder}) is for Kubernetes targets; it has no effect on a docker target")
    });
    let router = match &deploy.strategy {
        Strategy::Canary(canary) => canary.router.as_ref(),
        Strategy::Rolling(_) | Strategy::BlueGreen(_) => None,
    };
    let router = router.map(|_| {
        "note: `router` is for Kubernetes targets; on a docker target the edge splits the traffic"
            .to_owned()
    });
    let notes = min_ready.into_iter().chain(manifests);
    notes.chain(router).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::spec::{Canary, HttpRoute, RouterKind, TrafficRouter};

    fn wanted(digest: char, deploy: Deploy) -> Wanted {
        Wanted {
            service: "a".parse().unwrap(),
            environment: "test".parse().unwrap(),
            version: "1.0.0".to_owned(),
            run: "r1".parse().unwrap(),
            origin: "r1".parse().unwrap(),
            part_of: None,
            repository: "r/a".to_owned(),
            digest: format!("sha256:{}", digest.to_string().repeat(64))
                .parse()
                .unwrap(),
            deploy,
            address: None,
            returns: false,
            overwrites: false,
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
        let drain = Some("1m".parse().unwrap());
        assert_eq!(
            base.key(),
            wanted(
                'a',
                Deploy {
                    drain,
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

    #[test]
    fn what_this_target_does_not_do_is_said() {
        assert_eq!(not_done_here(&Deploy::default()), Vec::<String>::new());
        let strategy = Strategy::Rolling(Rolling {
            min_ready: Some("5s".parse().unwrap()),
            ..Rolling::default()
        });
        let notes = not_done_here(&Deploy {
            strategy,
            manifests: Some("k8s".to_owned()),
            ..Deploy::default()
        });
        assert!(
            notes.len() == 2 && notes[0].contains("`min_ready`") && notes[1].contains("k8s"),
            "{notes:?}"
        );
        let route = "shop".to_owned();
        let canary = Canary {
            router: Some(Box::new(TrafficRouter {
                kind: RouterKind::GatewayApi(HttpRoute { route }),
                stable: None,
                canary: None,
            })),
            ..Canary::default()
        };
        let notes = not_done_here(&Deploy {
            strategy: Strategy::Canary(canary),
            ..Deploy::default()
        });
        assert!(
            notes.len() == 1 && notes[0].contains("`router`"),
            "{notes:?}"
        );
    }
}
