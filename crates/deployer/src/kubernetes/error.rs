//! What a cluster answers when it does not do what it was asked, in words that say what to do.

use std::error::Error as _;

use container_stage::outcome::chain;
use container_stage::secrets::SecretError;
use domain::diagnostic::Diagnostics;
use kube::core::Status;

use super::objects::Impossible;
use super::router::RouteError;

/// Why a cluster does not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// There is no way to the cluster.
    #[error("the cluster of {environment} can't be used: {why}")]
    Unusable { environment: String, why: String },
    #[error("a secret of the service can't be had")]
    Secret(#[from] SecretError),
    /// It does not answer, or not as it should, and may do so in a moment.
    #[error("{doing}: the cluster does not answer: {why}")]
    Away { doing: String, why: String },
    /// It does not believe who we are.
    #[error(
        "{doing}: the cluster does not accept the deployer's credentials: {why}; renew them where the kubeconfig of \
         the environment is kept"
    )]
    Credentials { doing: String, why: String },
    /// We may not do that.
    #[error(
        "{doing}: the deployer may not do that: {why}; deploy/kubernetes/rbac.yaml has what it must be allowed to do"
    )]
    Forbidden { doing: String, why: String },
    /// The object breaks a rule of the cluster.
    #[error("{doing}: the cluster refuses it: {why}")]
    Refused { doing: String, why: String },
    /// Somebody else changed what we would change.
    #[error(
        "{doing}: somebody else changed it since Slipway did: {why}; undo the change, or let Slipway overwrite it: \
         deploy with `--overwrite-changes`, or set `overwrite_changes: true` under `target.kubernetes` in platform.yaml"
    )]
    Conflict { doing: String, why: String },
    /// The cluster has no such kind of objects.
    #[error("{doing}: the cluster knows no {kind} of {api_version}; {help}")]
    UnknownKind {
        doing: String,
        kind: String,
        api_version: String,
        help: &'static str,
    },
    /// The service file asks for what can't be.
    #[error("{0}")]
    Impossible(#[from] Impossible),
    /// The route that should split the traffic can't.
    #[error("`router`: {0}")]
    Route(#[from] RouteError),
    /// The team's own manifests are wrong.
    #[error("{}", first(.0))]
    Manifests(Diagnostics),
    /// The team's own manifests can't be had.
    #[error("the manifests of {service} can't be had: {why}")]
    NoManifests {
        service: String,
        why: String,
        passing: bool,
    },
    /// What the image says of itself can't be had.
    #[error("the port of the image can't be looked up: {why}; name it with `deploy.port`")]
    NoPort { why: String, passing: bool },
}

fn first(mistakes: &Diagnostics) -> String {
    let more = match mistakes.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    match mistakes.iter().next() {
        Some(first) => {
            let help = first.help.as_ref().map(|help| format!("; {help}"));
            format!(
                "{}:{}: {}{}{more}",
                first.file,
                first.line,
                first.message,
                help.unwrap_or_default()
            )
        }
        None => "the manifests are wrong".to_owned(),
    }
}

impl ClusterError {
    /// What an error of the client means. `doing` is what was tried, such as `applying Deployment orders`.
    pub(crate) fn of(doing: impl Into<String>, error: &kube::Error) -> Self {
        let doing = doing.into();
        match error {
            kube::Error::Api(status) => of_status(doing, status),
            kube::Error::Auth(_) => Self::Credentials {
                doing,
                why: chain(error),
            },
            kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => Self::Refused {
                doing,
                why: chain(error),
            },
            // The handshake fails on both sides in the same way: by a word about a certificate.
            other if chain(other).to_ascii_lowercase().contains("certificate") => {
                Self::Credentials {
                    doing,
                    why: innermost(other),
                }
            }
            other => Self::Away {
                doing,
                why: innermost(other),
            },
        }
    }

    /// Whether it is the user's to mend.
    pub(crate) fn is_users(&self) -> bool {
        match self {
            Self::Secret(_)
            | Self::Refused { .. }
            | Self::Conflict { .. }
            | Self::UnknownKind { .. }
            | Self::Impossible(_)
            | Self::Route(_)
            | Self::Manifests(_) => true,
            Self::NoManifests { passing, .. } | Self::NoPort { passing, .. } => !passing,
            Self::Unusable { .. }
            | Self::Away { .. }
            | Self::Credentials { .. }
            | Self::Forbidden { .. } => false,
        }
    }

    /// Whether it may be over in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Away { .. }
                | Self::NoManifests { passing: true, .. }
                | Self::NoPort { passing: true, .. }
        )
    }

    /// Everything that is wrong with manifests, line by line.
    pub(crate) fn details(&self) -> Vec<String> {
        match self {
            Self::Manifests(mistakes) => {
                mistakes.render(false).lines().map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Whether an object is not there, rather than its kind, or its namespace.
pub(super) fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether it is the namespace that is not there.
pub(super) fn is_without_namespace(error: &kube::Error, namespace: &str) -> bool {
    let words = format!("namespaces \"{namespace}\" not found");
    matches!(error, kube::Error::Api(status) if status.code == 404 && status.message.contains(&words))
}

fn of_status(doing: String, status: &Status) -> ClusterError {
    let why = match status.message.as_str() {
        "" => format!("status {}", status.code),
        message => message.to_owned(),
    };
    match status.code {
        401 => ClusterError::Credentials { doing, why },
        403 if why.contains("exceeded quota") => ClusterError::Refused {
            doing,
            why: format!("{why}; ask for less in `deploy`, or raise the namespace's quota"),
        },
        403 if why.contains("is being terminated") => ClusterError::Away { doing, why },
        // The words of an authorizer begin so; admission says what is wrong with the object.
        403 if why.contains(" cannot ") => ClusterError::Forbidden { doing, why },
        403 => ClusterError::Refused { doing, why },
        409 => ClusterError::Conflict {
            doing,
            why: causes(status).unwrap_or(why),
        },
        400 | 404 | 405 | 413 | 415 | 422 => ClusterError::Refused { doing, why },
        _ => ClusterError::Away { doing, why },
    }
}

/// Who holds which field.
fn causes(status: &Status) -> Option<String> {
    let causes = &status.details.as_ref()?.causes;
    let each = causes
        .iter()
        .map(|cause| format!("{} ({})", cause.field, cause.message));
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| each.join(", "))
}

/// The last cause says what happened; those before it only where.
fn innermost(error: &kube::Error) -> String {
    let mut last = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        last = cause.to_string();
        source = cause.source();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, message: &str) -> ClusterError {
        let status = Status {
            code,
            message: message.to_owned(),
            ..Status::default()
        };
        ClusterError::of("applying Service a", &kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn each_answer_of_a_cluster_says_whose_it_is_to_mend() {
        let rights = error(
            403,
            "services \"a\" is forbidden: User \"x\" cannot patch resource",
        );
        assert!(matches!(rights, ClusterError::Forbidden { .. }) && !rights.is_users());
        let quota = error(
            403,
            "pods \"a\" is forbidden: exceeded quota: q, requested: cpu=2",
        );
        assert!(quota.is_users() && quota.to_string().contains("raise the namespace's quota"));
        assert!(error(422, "spec.replicas: Invalid value").is_users());
        assert!(error(409, "conflict with \"kubectl\"").is_users());
        let expired = error(401, "Unauthorized");
        assert!(!expired.is_users() && !expired.is_passing());
        assert!(expired.to_string().contains("renew them"), "{expired}");
        for code in [429, 500, 503, 504] {
            assert!(error(code, "").is_passing());
        }
    }
}
