//! A preview for scripts: what `deploy --dry-run` and `rollback --dry-run` print.

use proto::preview::v1;
use serde::Serialize;

/// What bringing a version in would change.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// `docker` or `kubernetes`.
    pub target: String,
    /// The namespace or network.
    pub place: String,
    /// What would be brought in.
    pub version: String,
    /// `sha256:…` of its image.
    pub image_digest: String,
    /// What was brought in last; empty if nothing was.
    pub current_version: String,
    /// `sha256:…` of its image.
    pub current_image_digest: String,
    /// `bring up`, `rolling`, `blue-green` or `canary`.
    pub strategy: String,
    /// Its steps, in order.
    pub steps: Vec<String>,
    /// The stages of the run that would be started, in order.
    pub stages: Vec<String>,
    /// Whether anything would change.
    pub would_change: bool,
    /// What would be changed, and what is looked at and would not.
    pub objects: Vec<Object>,
    /// What would stop it, each with what to do; the exit code is 1 if there is anything.
    pub obstacles: Vec<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// Something in the environment.
#[derive(Debug, Serialize)]
pub struct Object {
    /// `created`, `changed`, `unchanged`, `removed` or `refused`.
    pub change: &'static str,
    /// Such as `Deployment`; on a docker target `replicas` or `edge`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Of Kubernetes objects.
    pub api_version: String,
    /// The object in whose place it comes.
    pub instead_of: String,
    /// The fields that would change.
    pub fields: Vec<Field>,
    /// What it means, or why it is refused.
    pub note: String,
    /// Who else changed fields that would be changed, and which.
    pub conflict: String,
}

/// A field that would change.
#[derive(Debug, Serialize)]
pub struct Field {
    /// Such as `spec.template.spec.containers[shop].image`.
    pub path: String,
    /// Null if it is not there; empty if it is secret.
    pub before: Option<String>,
    /// Null if it would not be there; empty if it is secret.
    pub after: Option<String>,
    /// Its values are not shown.
    pub is_secret: bool,
}

impl Preview {
    /// One preview.
    #[must_use]
    pub fn of(preview: &v1::DeploymentPreview) -> Self {
        let preview = preview.clone();
        Self {
            would_change: would_change(&preview),
            service: preview.service,
            environment: preview.environment,
            target: preview.target,
            place: preview.place,
            version: preview.version,
            image_digest: preview.image_digest,
            current_version: preview.current_version,
            current_image_digest: preview.current_image_digest,
            strategy: preview.strategy,
            steps: preview.steps,
            stages: preview.stages,
            objects: preview.objects.into_iter().map(Object::of).collect(),
            obstacles: preview.obstacles,
            notes: preview.notes,
        }
    }
}

/// Whether anything would be created, changed, removed or refused.
#[must_use]
pub fn would_change(preview: &v1::DeploymentPreview) -> bool {
    let mut objects = preview.objects.iter();
    objects.any(|object| object.change() != v1::ChangeKind::Unchanged)
}

impl Object {
    fn of(object: v1::ObjectChange) -> Self {
        Self {
            change: match object.change() {
                v1::ChangeKind::Created => "created",
                v1::ChangeKind::Changed => "changed",
                v1::ChangeKind::Unchanged => "unchanged",
                v1::ChangeKind::Removed => "removed",
                v1::ChangeKind::Refused => "refused",
                v1::ChangeKind::Unspecified => "",
            },
            kind: object.kind,
            name: object.name,
            api_version: object.api_version,
            instead_of: object.instead_of,
            fields: object.fields.into_iter().map(Field::of).collect(),
            note: object.note,
            conflict: object.conflict,
        }
    }
}

impl Field {
    fn of(field: v1::FieldChange) -> Self {
        Self {
            path: field.path,
            before: field.before,
            after: field.after,
            is_secret: field.is_secret,
        }
    }
}
