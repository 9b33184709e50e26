//! How an endpoint lets a measurement in.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{EnvValue, SecretReference};

/// How an endpoint lets a measurement in. Secrets are named, never written down; the deployer reads them each time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Access {
    /// Where its token is found: sent as `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretReference>,
    /// Where `user:password` is found: sent as `Authorization: Basic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<SecretReference>,
    /// Other headers, such as `X-Scope-OrgID: shop`; the value may be a secret.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, EnvValue>,
    /// Where the certificates (PEM) of the authority are found that the endpoint's own is signed by. Absent: the ones
    /// that the deployer's system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretReference>,
}

impl Access {
    /// Whether something is sent by which the endpoint knows who asks.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        let secret = |value: &EnvValue| matches!(value, EnvValue::Secret { .. });
        self.bearer.is_some() || self.basic.is_some() || self.headers.values().any(secret)
    }
}
