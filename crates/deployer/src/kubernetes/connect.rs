//! The way to a cluster.

use std::time::Duration;

use container_stage::outcome::chain;
use container_stage::secrets;
use domain::ids::EnvironmentName;
use domain::platform::KubernetesTarget;
use domain::spec::SecretReference;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::error::ClusterError;
use crate::service::SERVICE;

/// How long a connection may take, and how long an answer.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);

/// A client for the cluster of an environment. The kubeconfig is read anew each time, so renewed credentials are found.
pub(super) async fn connect(
    environment: &EnvironmentName,
    target: &KubernetesTarget,
) -> Result<Client, ClusterError> {
    let unusable = |why: String| ClusterError::Unusable {
        environment: environment.to_string(),
        why,
    };
    let mut config = match kubeconfig(target, &unusable)? {
        Some(kubeconfig) => {
            let options = KubeConfigOptions {
                context: target.context.clone(),
                ..KubeConfigOptions::default()
            };
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            config.map_err(|error| unusable(chain(&error)))?
        }
        None => Config::incluster().map_err(|error| {
            unusable(format!(
                "{}; the deployer does not run in a cluster, so name one with `kubeconfig` and `context` under \
                 `target.kubernetes` in platform.yaml",
                chain(&error)
            ))
        })?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    config.write_timeout = Some(ANSWER);
    Client::try_from(config).map_err(|error| unusable(chain(&error)))
}

/// The kubeconfig; `None` for the cluster that we are in.
fn kubeconfig(
    target: &KubernetesTarget,
    unusable: &dyn Fn(String) -> ClusterError,
) -> Result<Option<Kubeconfig>, ClusterError> {
    let read = match &target.kubeconfig {
        Some(SecretReference::File(path)) => Kubeconfig::read_from(path),
        Some(reference) => {
            let text = secrets::read(reference, SERVICE)?;
            Kubeconfig::from_yaml(&String::from_utf8_lossy(text.expose()))
        }
        None if target.context.is_some() => Kubeconfig::read(),
        None => return Ok(None),
    };
    match read {
        Ok(kubeconfig) => Ok(Some(kubeconfig)),
        Err(error) => Err(unusable(format!("its kubeconfig: {}", chain(&error)))),
    }
}
