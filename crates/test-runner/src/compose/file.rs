//! The shape of a Compose file, as far as it is looked at. Unknown keys are passed over.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::healthcheck::Healthcheck;
use super::words;

/// A Compose file.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) services: IndexMap<String, Service>,
    #[serde(default)]
    pub(super) include: Option<Value>,
}

/// One of its services.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub(super) image: Option<String>,
    pub(super) build: Option<Value>,
    pub(super) env_file: Option<Value>,
    pub(super) extends: Option<Value>,
    pub(super) configs: Option<Value>,
    pub(super) secrets: Option<Value>,
    #[serde(deserialize_with = "or_default")]
    pub(super) environment: Environment,
    pub(super) entrypoint: Option<Command>,
    pub(super) command: Option<Command>,
    pub(super) user: Option<Text>,
    #[serde(deserialize_with = "or_default")]
    pub(super) depends_on: DependsOn,
    pub(super) healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "or_default")]
    pub(super) volumes: Vec<Value>,
    #[serde(deserialize_with = "or_default")]
    pub(super) profiles: Vec<String>,
    networks: Value,
    hostname: Option<String>,
    container_name: Option<String>,
}

/// A key without a value means the same as no key.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Service {
    /// Host names besides the service's own name.
    pub(super) fn aliases(&self) -> Vec<String> {
        let networks = self
            .networks
            .as_object()
            .into_iter()
            .flat_map(|networks| networks.values());
        let lists = networks
            .filter_map(|network| network.get("aliases")?.as_array())
            .flatten();
        let in_networks = lists.filter_map(|alias| alias.as_str().map(str::to_owned));
        self.hostname
            .iter()
            .chain(&self.container_name)
            .cloned()
            .chain(in_networks)
            .collect()
    }
}

/// Text, also when it was written as a number or a truth value.
#[derive(Debug, Clone)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            other @ (Value::Number(_) | Value::Bool(_)) => Ok(Self(other.to_string())),
            other => Err(serde::de::Error::custom(format!(
                "expected text instead of {other}"
            ))),
        }
    }
}

/// Variables, as a list of `NAME=value` or as a map. A name without a value would come from the shell of whoever runs
/// Compose; here nobody does.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Environment {
    List(Vec<Text>),
    Map(BTreeMap<String, Option<Text>>),
}

impl Default for Environment {
    fn default() -> Self {
        Self::Map(BTreeMap::new())
    }
}

impl Environment {
    pub(super) fn into_map(self) -> BTreeMap<String, String> {
        let pair = |line: &Text| {
            line.0
                .split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        match self {
            Self::List(lines) => lines.iter().filter_map(pair).collect(),
            Self::Map(map) => map
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?.0)))
                .collect(),
        }
    }
}

/// A program and its arguments, as a list or as one line.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Command {
    Line(String),
    Words(Vec<Text>),
}

impl Command {
    pub(super) fn into_words(self) -> Result<Vec<String>, String> {
        match self {
            Self::Line(line) => words::split(&line),
            Self::Words(words) => Ok(words.into_iter().map(|word| word.0).collect()),
        }
    }
}

/// The services that must be there first, as a list, or as a map that says in which state.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum DependsOn {
    List(Vec<String>),
    Map(IndexMap<String, Condition>),
}

/// In which state a service must be.
#[derive(Debug, Deserialize)]
pub(super) struct Condition {
    #[serde(default)]
    condition: String,
}

impl Default for DependsOn {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl DependsOn {
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::List(names) => names.clone(),
            Self::Map(map) => map.keys().cloned().collect(),
        }
    }

    /// Those that must have ended well.
    pub(super) fn awaited_to_end(&self) -> Vec<String> {
        match self {
            Self::List(_) => Vec::new(),
            Self::Map(map) => {
                let ends = |(_, on): &(&String, &Condition)| {
                    on.condition == "service_completed_successfully"
                };
                map.iter()
                    .filter(ends)
                    .map(|(name, _)| name.clone())
                    .collect()
            }
        }
    }
}

/// The file or folder of the repository that a volume mounts, and where; `None` for a named or nameless volume, which
/// the container needs none of: it lives for one test.
pub(super) fn bind(volume: &Value) -> Option<Result<(String, String), String>> {
    let (source, target) = match volume {
        Value::String(short) => {
            let mut parts = short.split(':');
            let (source, target) = (parts.next()?, parts.next()?);
            (
                source.starts_with(['.', '/', '~']).then_some(source)?,
                target,
            )
        }
        long => {
            let text = |key| long.get(key).and_then(Value::as_str);
            (text("type") == Some("bind")).then_some(())?;
            (
                text("source").unwrap_or_default(),
                text("target").unwrap_or_default(),
            )
        }
    };
    let parts: Vec<&str> = source
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let outside = source.starts_with(['/', '~']) || parts.contains(&"..");
    if outside || parts.is_empty() || !target.starts_with('/') {
        return Some(Err(format!(
            "the volume {source}:{target} can't be mounted; only files and folders below the service's own can"
        )));
    }
    Some(Ok((parts.join("/"), target.to_owned())))
}
