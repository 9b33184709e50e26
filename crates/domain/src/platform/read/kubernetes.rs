//! `target: { kubernetes: … }`.

use super::{address, secret};
use crate::document::{Fields, Node, Reader};
use crate::ids::EnvironmentName;
use crate::platform::KubernetesTarget;
use crate::spec::{SecretReference, label_text};

/// What may be said of a cluster.
pub(super) const KEYS: [&str; 6] = [
    "kubeconfig",
    "context",
    "namespace",
    "image_pull_secrets",
    "registry",
    "overwrite_changes",
];

pub(super) fn target(r: &mut Reader<'_>, fields: &Fields<'_>) -> KubernetesTarget {
    let namespace = r.name(fields, "namespace").filter(|text| {
        let span = fields.get("namespace").map_or(0..0, |n| n.span.clone());
        // Namespaces follow the same rule as environments.
        label_text::<EnvironmentName>(r, span, &fields.path("namespace"), text).is_some()
    });
    let pull_secrets = r.nodes(fields, "image_pull_secrets").unwrap_or_default();
    let what = fields.path("image_pull_secrets");
    KubernetesTarget {
        kubeconfig: kubeconfig(r, fields),
        context: r.name(fields, "context"),
        namespace,
        image_pull_secrets: pull_secrets
            .into_iter()
            .filter_map(|(node, text)| secret_name(r, node, &what, text))
            .collect(),
        registry: r
            .name(fields, "registry")
            .and_then(|text| address(r, fields, "registry", text)),
        overwrite_changes: r.flag(fields, "overwrite_changes").unwrap_or(false),
    }
}

/// A kubeconfig can't be found in the cluster that it is needed for.
fn kubeconfig(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<SecretReference> {
    let reference = secret(r, fields, "kubeconfig")?;
    if let SecretReference::Kubernetes { .. } = reference {
        r.error_help(
            fields.get("kubeconfig")?.span.clone(),
            format!("`{}` can't be in a cluster", fields.path("kubeconfig")),
            "mount it as a file where the deployer runs, and write `file:/path`",
        );
        return None;
    }
    Some(reference)
}

/// The name of a Secret: a DNS subdomain.
fn secret_name(r: &mut Reader<'_>, node: &Node, what: &str, text: String) -> Option<String> {
    let part = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !part.is_empty()
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(part) {
        return Some(text);
    }
    r.error_help(
        node.span.clone(),
        format!("`{what}`: {text:?} can't be the name of a Secret"),
        "write the name alone: a-z, 0-9, `-` and `.`, such as `registry-credentials`",
    );
    None
}
