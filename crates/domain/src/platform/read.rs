//! `platform.yaml` from its text.

mod kubernetes;

use indexmap::IndexMap;

use super::{
    Conventions, DockerTarget, Environment, KubernetesTarget, PlatformSpec, Registries, Registry,
    Repository, Target, Webhook, Webhooks,
};
use crate::diagnostic::{Diagnostics, Source, nearest};
use crate::document::{Entry, Fields, Node, Reader, Value, load, refuse_both};
use crate::ids::EnvironmentName;
use crate::spec::{SecretReference, label_text, read_secret};

const EXAMPLE: &str = "registries:
  development: { address: development.registry.example.org }
  production: { address: registry.example.org }
environments:
  test: {}
  production: { approvals: 1 }";

/// Reads a `platform.yaml`; `path` is only for the messages.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(path: &str, text: &str) -> Result<PlatformSpec, Diagnostics> {
    match lint(path, text) {
        (Some(spec), diagnostics) if !diagnostics.has_errors() => Ok(spec),
        (_, diagnostics) => Err(diagnostics),
    }
}

/// Reads a `platform.yaml` and tells also what is only doubtful. Without errors there is a specification.
#[must_use]
pub fn lint(path: &str, text: &str) -> (Option<PlatformSpec>, Diagnostics) {
    let source = Source::new(path, text);
    let root = match load(&source, EXAMPLE) {
        Ok(root) => root,
        Err(diagnostic) => return (None, Diagnostics::of(&source, vec![*diagnostic])),
    };
    let mut reader = Reader::new(&source);
    let spec = reader
        .fields(
            &root,
            "",
            &[
                "registries",
                "environments",
                "repositories",
                "webhooks",
                "conventions",
            ],
        )
        .and_then(|fields| platform(&mut reader, &fields));
    let diagnostics = Diagnostics::of(&source, reader.diagnostics);
    (spec.filter(|_| !diagnostics.has_errors()), diagnostics)
}

fn platform(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<PlatformSpec> {
    let registries = registries(r, fields);
    let environments = environments(r, fields);
    let repositories = repositories(r, fields);
    let webhooks = webhooks(r, fields);
    let conventions = conventions(r, fields);
    Some(PlatformSpec {
        registries: registries?,
        environments: environments?,
        repositories,
        webhooks,
        conventions,
    })
}

fn registries(r: &mut Reader<'_>, root: &Fields<'_>) -> Option<Registries> {
    if root.entry("registries").is_none() {
        r.missing(
            root,
            "registries",
            "registries: { development: …, production: … }",
        );
    }
    let fields = r.section(root, "registries", &["development", "production"])?;
    let development = registry(r, &fields, "development");
    let production = registry(r, &fields, "production");
    Some(Registries {
        development: development?,
        production: production?,
    })
}

fn registry(r: &mut Reader<'_>, registries: &Fields<'_>, key: &str) -> Option<Registry> {
    if registries.entry(key).is_none() {
        r.missing(
            registries,
            key,
            &format!("{key}: {{ address: registry.example.org }}"),
        );
    }
    let fields = r.section(
        registries,
        key,
        &["address", "endpoint", "prefix", "credentials"],
    )?;
    if fields.get("address").is_none() {
        r.missing(&fields, "address", "address: registry.example.org");
    }
    let address = r
        .name(&fields, "address")
        .and_then(|text| address(r, &fields, "address", text));
    let endpoint = r
        .name(&fields, "endpoint")
        .and_then(|text| endpoint(r, &fields, &text));
    let prefix = r
        .name(&fields, "prefix")
        .and_then(|text| prefix(r, &fields, text));
    let credentials = secret(r, &fields, "credentials");
    Some(Registry {
        address: address?,
        endpoint,
        prefix,
        credentials,
    })
}

/// The address of a registry, under `key`.
fn address(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str, text: String) -> Option<String> {
    let span = fields.get(key)?.span.clone();
    let what = fields.path(key);
    if let Some((_, rest)) = text.split_once("://") {
        let help = match key {
            "address" => {
                format!("write `{rest}`; `endpoint` says how Slipway itself reaches it")
            }
            _ => format!("write `{rest}`"),
        };
        r.error_help(
            span,
            format!("`{what}` is the beginning of image names and has no scheme"),
            help,
        );
        return None;
    }
    if let Some((host, path)) = text.split_once('/') {
        r.error_help(
            span,
            format!("`{what}` has a path"),
            match key {
                "address" => format!("write `address: {host}` and `prefix: {path}`"),
                _ => format!("write `{host}`; the path of each image stays as it is"),
            },
        );
        return None;
    }
    let (host, port) = text
        .rsplit_once(':')
        .map_or((text.as_str(), None), |(host, port)| (host, Some(port)));
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    let port_is_right = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
    if host.is_empty() || !host.bytes().all(plain) || !port_is_right {
        let message = format!("`{what}` is not a host with or without a port");
        r.error_help(
            span,
            message,
            "write it like `registry.example.org` or `127.0.0.1:5000`",
        );
        return None;
    }
    Some(text)
}

fn endpoint(r: &mut Reader<'_>, fields: &Fields<'_>, text: &str) -> Option<String> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let host = host.map(|host| host.strip_suffix('/').unwrap_or(host));
    match host {
        Some(host)
            if !host.is_empty() && !host.contains(|c: char| c == '/' || c.is_whitespace()) =>
        {
            Some(text.trim_end_matches('/').to_owned())
        }
        _ => {
            let message = format!("`{}` is not the URL of a registry", fields.path("endpoint"));
            r.error_help(
                fields.get("endpoint")?.span.clone(),
                message,
                "write it like `http://registry:5000`",
            );
            None
        }
    }
}

/// A path of image names: small letters, digits and single separators, as registries demand.
fn prefix(r: &mut Reader<'_>, fields: &Fields<'_>, text: String) -> Option<String> {
    if text.split('/').all(is_repository_part) {
        return Some(text);
    }
    let message = format!(
        "`{}` cannot be part of an image's name",
        fields.path("prefix")
    );
    let help =
        "write parts of a-z, 0-9, `.`, `_` and `-` with `/` between them, such as `team/services`";
    r.error_help(fields.get("prefix")?.span.clone(), message, help);
    None
}

fn is_repository_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    edge(part.chars().next()) && edge(part.chars().last()) && part.bytes().all(inner)
}

fn environments(
    r: &mut Reader<'_>,
    root: &Fields<'_>,
) -> Option<IndexMap<EnvironmentName, Environment>> {
    let example = "environments: { test: {}, production: {} }";
    let entries = match root.get("environments") {
        None => {
            r.missing(root, "environments", example);
            return None;
        }
        Some(node) => r.entries(node, "environments")?,
    };
    if entries.is_empty() {
        r.missing(root, "environments", example);
    }
    let mut environments = IndexMap::new();
    let mut fed_from_production: Option<&Entry> = None;
    for (index, entry) in entries.iter().enumerate() {
        let what = format!("environments.{}", entry.key);
        let name =
            label_text::<EnvironmentName>(r, entry.key_span.clone(), "environments", &entry.key);
        let Some(fields) = r.fields(&entry.value, &what, &["target", "approvals", "production"])
        else {
            continue;
        };
        let production = r
            .flag(&fields, "production")
            .unwrap_or(index + 1 == entries.len());
        if let (false, Some(before)) = (production, fed_from_production) {
            let message = format!(
                "`{}` is fed from the development registry, but comes after `{}`",
                entry.key, before.key
            );
            let error = r.source.error(entry.key_span.clone(), message);
            let error = error.related(before.key_span.clone(), "fed from the production registry");
            r.push(error.help(
                "environments are in promotion order: put it before, or set `production: true`",
            ));
        }
        if production {
            fed_from_production = fed_from_production.or(Some(entry));
        }
        let target = target(r, &fields).unwrap_or_default();
        let approvals = r.number(&fields, "approvals", 0, 100).unwrap_or(0);
        if let Some(name) = name {
            environments.insert(
                name,
                Environment {
                    target,
                    approvals,
                    production,
                },
            );
        }
    }
    Some(environments)
}

fn target(r: &mut Reader<'_>, environment: &Fields<'_>) -> Option<Target> {
    const TARGETS: [&str; 2] = ["docker", "kubernetes"];
    let node = environment.get("target")?;
    let what = environment.path("target");
    if let Value::Scalar { text, .. } = &node.value {
        return match text.as_str() {
            "docker" => Some(Target::default()),
            "kubernetes" => Some(Target::Kubernetes(KubernetesTarget::default())),
            other => {
                let help = match nearest(other, TARGETS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "the targets are `docker` and `kubernetes`".to_owned(),
                };
                r.error_help(
                    node.span.clone(),
                    format!("`{what}`: there is no target {other:?}"),
                    help,
                );
                None
            }
        };
    }
    let fields = r.section(environment, "target", &TARGETS)?;
    if refuse_both(r, &fields, "docker", "kubernetes") {
        return None;
    }
    if r.section(&fields, "docker", &[]).is_some() {
        return Some(Target::Docker(DockerTarget {}));
    }
    if let Some(kubernetes) = r.section(&fields, "kubernetes", &kubernetes::KEYS) {
        return Some(Target::Kubernetes(kubernetes::target(r, &kubernetes)));
    }
    if TARGETS.iter().all(|t| fields.entry(t).is_none()) {
        r.error_help(
            fields.span,
            format!("`{what}` names no target"),
            "write `docker` or `kubernetes: { … }`",
        );
    }
    None
}

fn repositories(r: &mut Reader<'_>, root: &Fields<'_>) -> Vec<Repository> {
    let Some(nodes) = r.elements(root, "repositories") else {
        return Vec::new();
    };
    nodes
        .iter()
        .filter_map(|node| repository(r, node))
        .collect()
}

fn repository(r: &mut Reader<'_>, node: &Node) -> Option<Repository> {
    if let Value::Scalar { .. } = node.value {
        let url = r.text_at(node, "repositories")?;
        return Some(Repository {
            url,
            services: Vec::new(),
        });
    }
    let fields = r.fields(node, "repositories", &["url", "services"])?;
    if fields.get("url").is_none() {
        r.missing(&fields, "url", "url: https://git.example.org/delivery.git");
    }
    let services = r.nodes(&fields, "services").unwrap_or_default();
    let services = services
        .into_iter()
        .filter_map(|(node, text)| r.inside(node, text, "repositories.services"))
        .collect();
    Some(Repository {
        url: r.name(&fields, "url")?,
        services,
    })
}

fn webhooks(r: &mut Reader<'_>, root: &Fields<'_>) -> Webhooks {
    let Some(fields) = r.section(root, "webhooks", &["github", "gitlab", "gitea"]) else {
        return Webhooks::default();
    };
    Webhooks {
        github: webhook(r, &fields, "github"),
        gitlab: webhook(r, &fields, "gitlab"),
        gitea: webhook(r, &fields, "gitea"),
    }
}

fn webhook(r: &mut Reader<'_>, webhooks: &Fields<'_>, forge: &str) -> Option<Webhook> {
    let fields = r.section(webhooks, forge, &["secret"])?;
    if fields.get("secret").is_none() {
        r.missing(&fields, "secret", "secret: env:WEBHOOK_SECRET");
    }
    Some(Webhook {
        secret: secret(r, &fields, "secret")?,
    })
}

fn conventions(r: &mut Reader<'_>, root: &Fields<'_>) -> Conventions {
    let default = Conventions::default();
    let Some(fields) = r.section(root, "conventions", &["image"]) else {
        return default;
    };
    let Some(image) = r.name(&fields, "image") else {
        return default;
    };
    let filled = image.replace("{service}", "x");
    if image.contains("{service}") && filled.split('/').all(is_repository_part) {
        return Conventions { image };
    }
    let span = fields.get("image").map_or(0..0, |n| n.span.clone());
    let message = "`conventions.image` does not make a name for each service's image";
    r.error_help(
        span,
        message,
        "write a-z, 0-9, `.`, `_`, `-` and `/` around `{service}`, such as `shop-{service}`",
    );
    default
}

fn secret(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<SecretReference> {
    read_secret(r, fields.get(key)?, &fields.path(key))
}
