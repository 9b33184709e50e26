//! `slipway.yaml` from its text.

mod analysis;
mod deploy;
mod test;
mod traffic;

use std::str::FromStr;

use indexmap::IndexMap;

use super::build::{Build, BuildContainer, ImageBuild, Resources};
use super::{Contracts, ServiceSpec};
use crate::diagnostic::{Diagnostics, Source};
use crate::document::{Fields, Reader, load, refuse_both};
use crate::ids::{InvalidId, ServiceName};

/// The least that a `slipway.yaml` must say.
pub(crate) const EXAMPLE: &str = "service: delivery";

/// Reads a `slipway.yaml`; `path` is only for the messages.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(path: &str, text: &str) -> Result<ServiceSpec, Diagnostics> {
    match lint(path, text) {
        (Some(spec), diagnostics) if !diagnostics.has_errors() => Ok(spec),
        (_, diagnostics) => Err(diagnostics),
    }
}

/// Reads a `slipway.yaml` and tells also what is only doubtful. Without errors there is a specification.
#[must_use]
pub fn lint(path: &str, text: &str) -> (Option<ServiceSpec>, Diagnostics) {
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
                "service",
                "team",
                "needs",
                "build",
                "test",
                "image",
                "deploy",
                "contracts",
            ],
        )
        .and_then(|fields| service(&mut reader, &fields));
    let diagnostics = Diagnostics::of(&source, reader.diagnostics);
    (spec.filter(|_| !diagnostics.has_errors()), diagnostics)
}

fn service(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<ServiceSpec> {
    if fields.get("service").is_none() {
        r.missing(fields, "service", EXAMPLE);
    }
    let service = label::<ServiceName>(r, fields, "service");
    let team = r.name(fields, "team");
    let needs = r.nodes(fields, "needs").unwrap_or_default();
    let needs = needs
        .into_iter()
        .filter_map(|(node, text)| label_text(r, node.span.clone(), "needs", &text))
        .collect();
    let build = build(r, fields);
    let test = test::tests(
        r,
        fields,
        service.as_ref(),
        build.is_some() || fields.entry("build").is_some(),
    );
    let image = image(r, fields);
    let deploy = fields
        .entry("deploy")
        .and_then(|_| deploy::deploy(r, fields));
    let contracts = contracts(r, fields);
    Some(ServiceSpec {
        service: service?,
        team,
        needs,
        build,
        test,
        image,
        deploy,
        contracts,
    })
}

fn build(r: &mut Reader<'_>, root: &Fields<'_>) -> Option<Build> {
    let known = [
        "image",
        "dockerfile",
        "run",
        "cache",
        "env",
        "timeout",
        "resources",
    ];
    let fields = r.section(root, "build", &known)?;
    let container = if refuse_both(r, &fields, "image", "dockerfile") {
        None
    } else if fields.entry("dockerfile").is_some() {
        required_path(r, &fields, "dockerfile", "dockerfile: ci/Dockerfile")
            .map(BuildContainer::Dockerfile)
    } else {
        required(r, &fields, "image", "image: rust:1.95").map(BuildContainer::Image)
    };
    let run = r.texts(&fields, "run");
    let cache = r.texts(&fields, "cache");
    let env = r.variables(&fields, "env");
    let timeout = r.parsed(&fields, "timeout");
    let resources = resources(r, &fields).unwrap_or_default();
    Some(Build {
        container: container?,
        run,
        cache,
        env,
        timeout,
        resources,
    })
}

fn image(r: &mut Reader<'_>, root: &Fields<'_>) -> ImageBuild {
    let default = ImageBuild::default();
    let known = [
        "dockerfile",
        "context",
        "target",
        "args",
        "secrets",
        "timeout",
    ];
    let Some(fields) = r.section(root, "image", &known) else {
        return default;
    };
    ImageBuild {
        dockerfile: r.path(&fields, "dockerfile").unwrap_or(default.dockerfile),
        context: r.path(&fields, "context").unwrap_or(default.context),
        target: r.name(&fields, "target"),
        args: r.variables(&fields, "args"),
        secrets: r.named(&fields, "secrets", |r, entry, what| {
            secret(r, &entry.value, what)
        }),
        timeout: r.parsed(&fields, "timeout"),
    }
}

fn contracts(r: &mut Reader<'_>, root: &Fields<'_>) -> Contracts {
    let Some(fields) = r.section(root, "contracts", &["provides", "consumes"]) else {
        return Contracts::default();
    };
    let provides = r.nodes(&fields, "provides").unwrap_or_default();
    let provides = provides
        .into_iter()
        .filter_map(|(node, text)| r.inside(node, text, "contracts.provides"))
        .collect();
    let consumes = r.named(&fields, "consumes", |r, entry, what| {
        let service: ServiceName = label_text(r, entry.key_span.clone(), what, &entry.key)?;
        let text = r.text_at(&entry.value, what)?;
        Some((service, r.inside(&entry.value, text, what)?))
    });
    Contracts {
        provides,
        consumes: consumes.into_values().collect::<IndexMap<_, _>>(),
    }
}

/// The limits of a container, if there are any.
fn resources(r: &mut Reader<'_>, parent: &Fields<'_>) -> Option<Resources> {
    let fields = r.section(parent, "resources", &["cpus", "memory", "pids"])?;
    Some(Resources {
        cpus: r.parsed(&fields, "cpus"),
        memory: r.parsed(&fields, "memory"),
        pids: r.number(&fields, "pids", 1, 4_194_304),
    })
}

/// A reference to a secret.
pub(crate) fn secret(
    r: &mut Reader<'_>,
    node: &crate::document::Node,
    what: &str,
) -> Option<super::SecretReference> {
    let before = r.diagnostics.len();
    let secret = r.parsed_at(node, what);
    if let Some(diagnostic) = r.diagnostics.get_mut(before) {
        diagnostic.label = "a secret's value does not belong into a file".to_owned();
    }
    secret
}

/// Text that must be there.
fn required(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str, example: &str) -> Option<String> {
    if fields.get(key).is_none() {
        r.missing(fields, key, example);
    }
    r.name(fields, key)
}

/// A path in the service's folder that must be there.
fn required_path(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &str,
    example: &str,
) -> Option<String> {
    if fields.get(key).is_none() {
        r.missing(fields, key, example);
    }
    r.path(fields, key)
}

/// The name of a service or an environment.
fn label<T: FromStr<Err = InvalidId>>(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &str,
) -> Option<T> {
    let text = r.text(fields, key)?;
    label_text(r, fields.get(key)?.span.clone(), &fields.path(key), &text)
}

/// The name of a service or an environment; what is wrong comes with a name that would do.
pub(crate) fn label_text<T: FromStr<Err = InvalidId>>(
    r: &mut Reader<'_>,
    span: std::ops::Range<usize>,
    what: &str,
    text: &str,
) -> Option<T> {
    text.parse()
        .map_err(|error: InvalidId| {
            let message = format!("`{what}`: {:?} is not a valid {}", error.text, error.kind);
            let help = match similar_label(text) {
                Some(similar) => format!("write {}; for example `{similar}`", error.rule),
                None => format!("write {}", error.rule),
            };
            r.error_help(span, message, help);
        })
        .ok()
}

/// The DNS label that a text comes closest to.
fn similar_label(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let label: String = lower
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let label = label.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let label = label[..label.len().min(63)].trim_end_matches('-');
    (!label.is_empty() && label != text).then(|| label.to_owned())
}
