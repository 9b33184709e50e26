//! What it takes to make the objects of a release: the port of the image, the values of secrets, the team's manifests.

use std::collections::BTreeMap;

use container_stage::outcome::chain;
use container_stage::{checkout, secrets};
use domain::manifest;
use domain::platform::{KubernetesTarget, Registry as RegistrySpec};
use domain::run::Change;
use domain::spec::{EnvValue, SecretReference};
use registry::{Credentials, Registry, RegistryConfig};

use super::Kubernetes;
use super::api::Cluster;
use super::error::ClusterError;
use super::objects::{Place, Release, generated, image_for, own};
use crate::service::SERVICE;
use crate::wanted::Wanted;

/// Files that a kustomization may name, or that hold objects.
const ENDS: [&str; 4] = [".yaml", ".yml", ".json", "Kustomization"];
/// The most files that are read.
const MOST: usize = 200;

/// The objects of a version.
pub(super) async fn release(
    kubernetes: &Kubernetes,
    cluster: &Cluster,
    target: &KubernetesTarget,
    wanted: &Wanted,
) -> Result<Release, ClusterError> {
    release_from(kubernetes, cluster, target, wanted, &wanted.repository).await
}

/// The same. The image is looked at in `available`: it may not be yet where the version takes it from.
pub(super) async fn release_from(
    kubernetes: &Kubernetes,
    cluster: &Cluster,
    target: &KubernetesTarget,
    wanted: &Wanted,
    available: &str,
) -> Result<Release, ClusterError> {
    let mut place = Place {
        namespace: cluster.namespace.clone(),
        image_pull_secrets: target.image_pull_secrets.clone(),
        image: image_for(wanted, target.registry.as_deref()),
        port: wanted.deploy.port,
        secrets: BTreeMap::new(),
        server: cluster.server().await?,
    };
    if let Some(folder) = &wanted.deploy.manifests {
        let change = origin(kubernetes, wanted).await?;
        let (folder, files) = files(kubernetes, &change, folder).await?;
        let manifests =
            manifest::read(&folder, &files, &place.namespace).map_err(ClusterError::Manifests)?;
        return Ok(own(wanted, &place, manifests)?);
    }
    if place.port.is_none() {
        let there = Wanted {
            repository: available.to_owned(),
            ..wanted.clone()
        };
        place.port = exposed(kubernetes, &there).await?;
    }
    for (variable, value) in &wanted.deploy.env {
        if let EnvValue::Secret { secret } = value
            && !matches!(secret, SecretReference::Kubernetes { .. })
        {
            let value = secrets::read(secret, SERVICE)?;
            place
                .secrets
                .insert(variable.clone(), value.expose().to_vec());
        }
    }
    Ok(generated(wanted, &place)?)
}

/// The change that made the version: its commit has the manifests that travel with the image.
async fn origin(kubernetes: &Kubernetes, wanted: &Wanted) -> Result<Change, ClusterError> {
    let none = |why: String, passing| ClusterError::NoManifests {
        service: wanted.service.to_string(),
        why,
        passing,
    };
    let run = kubernetes.runs.get(&wanted.origin).await;
    let run = run.map_err(|error| none(chain(&error), true))?;
    let created = run.and_then(|run| run.created);
    let gone = || {
        format!(
            "run {}, which made them, is not known any more",
            wanted.origin
        )
    };
    created
        .map(|created| created.change.clone())
        .ok_or_else(|| none(gone(), false))
}

/// The files of the folder, by their path in it, and the folder as it is called in messages.
async fn files(
    kubernetes: &Kubernetes,
    change: &Change,
    folder: &str,
) -> Result<(String, BTreeMap<String, String>), ClusterError> {
    let failed = |why: String, passing| ClusterError::NoManifests {
        service: change.service.to_string(),
        why,
        passing,
    };
    let of_source = |error: source::Error| failed(chain(&error), error.is_retryable());
    let source = &kubernetes.source;
    let commit = checkout::commit(source, change).await.map_err(of_source)?;
    let path = format!("{}/{folder}", change.path);
    let path: Vec<&str> = path
        .split('/')
        .filter(|p| !matches!(*p, "" | "."))
        .collect();
    let mut path = path.join("/");
    let listed = source.list_files(&commit, &path).await.map_err(of_source)?;
    if listed.is_empty() {
        let why = format!("there is no `{path}` in commit {}", commit.id);
        return Err(failed(why, false));
    }
    // One file alone is a folder with that file.
    if listed == [path.as_str()] {
        path = path
            .rsplit_once('/')
            .map_or("", |(above, _)| above)
            .to_owned();
    }
    let of_interest = listed
        .iter()
        .filter(|file| ENDS.iter().any(|end| file.ends_with(end)));
    let mut files = BTreeMap::new();
    for file in of_interest {
        if files.len() == MOST {
            return Err(failed(
                format!("there are more than {MOST} files in {path}"),
                false,
            ));
        }
        let bytes = source.read_file(&commit, file).await.map_err(of_source)?;
        let text = String::from_utf8(bytes.unwrap_or_default().to_vec())
            .map_err(|_| failed(format!("{file} is not UTF-8 text"), false))?;
        let inside = file.strip_prefix(&path).unwrap_or(file);
        files.insert(inside.trim_start_matches('/').to_owned(), text);
    }
    Ok((path, files))
}

/// The lowest port that the image exposes.
async fn exposed(kubernetes: &Kubernetes, wanted: &Wanted) -> Result<Option<u16>, ClusterError> {
    let no_port = |why: String, passing| ClusterError::NoPort { why, passing };
    let of_registry = |error: registry::Error| no_port(chain(&error), error.is_retryable());
    let registries = &kubernetes.platform.registries;
    let host = wanted.repository.split('/').next().unwrap_or_default();
    let known = [&registries.production, &registries.development];
    let Some(spec) = known.into_iter().find(|r| r.address == host) else {
        return Err(no_port(
            format!("{host} is no registry of the platform file"),
            false,
        ));
    };
    let client = client(spec, &kubernetes.platform, wanted)?;
    let client = Registry::new(&client).map_err(of_registry)?;
    let name = wanted.repository[host.len()..].trim_start_matches('/');
    let name = name
        .parse()
        .map_err(|error| no_port(format!("{error}"), false))?;
    let digest: registry::Digest = wanted
        .digest
        .as_str()
        .parse()
        .map_err(|error| no_port(format!("{error}"), false))?;
    let config = client.image_config(&name, digest, None).await;
    let config = config.map_err(of_registry)?.config.unwrap_or_default();
    let ports = config.exposed_ports.unwrap_or_default();
    let number = |port: &String| match port.split_once('/') {
        Some((number, "tcp")) => number.parse().ok(),
        Some(_) => None,
        None => port.parse().ok(),
    };
    Ok(ports.keys().filter_map(number).min())
}

fn client(
    spec: &RegistrySpec,
    platform: &domain::platform::PlatformSpec,
    wanted: &Wanted,
) -> Result<RegistryConfig, ClusterError> {
    let config = RegistryConfig::new(&spec.address).with_endpoint(spec.endpoint());
    let credentials = secrets::credentials_for(platform, &wanted.image(), SERVICE)?;
    Ok(match credentials {
        Some(login) => {
            let password = String::from_utf8_lossy(login.password.expose()).into_owned();
            config.with_credentials(Credentials::new(login.username, password))
        }
        None => config,
    })
}
