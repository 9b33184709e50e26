//! The environment variables of a service as objects whose names change with their content, so that a version and its
//! configuration come and go together.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::spec::{EnvValue, SecretReference};
use serde_json::{Map, Value as Json, json};

use super::{Impossible, Place, hashed_name};
use crate::wanted::Wanted;

/// What a container needs for its variables.
pub(super) struct Configuration {
    /// ConfigMap and Secret, as far as there is something to keep in them.
    pub(super) objects: Vec<Json>,
    /// The container's `envFrom`.
    pub(super) env_from: Vec<Json>,
    /// The container's `env`.
    pub(super) env: Vec<Json>,
}

/// The variables of the `deploy` section.
pub(super) fn configuration(wanted: &Wanted, place: &Place) -> Result<Configuration, Impossible> {
    let mut texts = Map::new();
    let mut secrets = Map::new();
    let mut env = vec![
        json!({ "name": "SLIPWAY_SERVICE", "value": wanted.service.as_str() }),
        json!({ "name": "SLIPWAY_VERSION", "value": wanted.version }),
        json!({ "name": "SLIPWAY_ENVIRONMENT", "value": wanted.environment.as_str() }),
    ];
    if let Some(port) = place.port {
        env.push(json!({ "name": "PORT", "value": port.to_string() }));
    }
    for (variable, value) in &wanted.deploy.env {
        // What the team says wins.
        env.retain(|ours| ours["name"] != variable.as_str());
        match value {
            EnvValue::Text(text) => {
                texts.insert(variable.clone(), Json::from(text.as_str()));
            }
            EnvValue::Secret {
                secret:
                    SecretReference::Kubernetes {
                        namespace,
                        name,
                        key,
                    },
            } => {
                if *namespace != place.namespace {
                    return Err(Impossible(format!(
                        "`deploy.env.{variable}`: a pod in the namespace {} can't read a secret of {namespace}; keep \
                         the secret in {0}, or say what is different under `deploy.environments.{}.env`",
                        place.namespace, wanted.environment
                    )));
                }
                env.push(json!({
                    "name": variable,
                    "valueFrom": { "secretKeyRef": { "name": name, "key": key } },
                }));
            }
            EnvValue::Secret { .. } => {
                let value = place.secrets.get(variable).map_or(&[][..], Vec::as_slice);
                secrets.insert(variable.clone(), Json::from(STANDARD.encode(value)));
            }
        }
    }
    let mut found = Configuration {
        objects: Vec::new(),
        env_from: Vec::new(),
        env,
    };
    let stem = format!("{}-env", wanted.service);
    if !texts.is_empty() {
        let data = Json::Object(texts);
        let name = hashed_name(&stem, &data);
        found
            .env_from
            .push(json!({ "configMapRef": { "name": name } }));
        found.objects.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data,
        }));
    }
    if !secrets.is_empty() {
        let data = Json::Object(secrets);
        let name = hashed_name(&stem, &data);
        found
            .env_from
            .push(json!({ "secretRef": { "name": name } }));
        found.objects.push(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "type": "Opaque", "data": data,
        }));
    }
    Ok(found)
}
