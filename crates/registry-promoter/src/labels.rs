//! The labels that an image must have to be published: they say which run it is of.

use domain::run::Created;
use registry::ImageConfig;

/// Checks the labels of the OCI image specification against the run.
///
/// # Errors
/// The first label that disagrees, and what to do about it.
pub(crate) fn check(created: &Created, image: &ImageConfig) -> Result<(), String> {
    let version = created
        .version
        .as_ref()
        .map(|v| v.version.to_string())
        .unwrap_or_default();
    let expected = [
        (
            "org.opencontainers.image.title",
            created.change.service.as_str(),
        ),
        ("org.opencontainers.image.version", version.as_str()),
        (
            "org.opencontainers.image.revision",
            created.change.commit.as_str(),
        ),
    ];
    for (label, wanted) in expected {
        let found = image.label(label).unwrap_or_default();
        if found != wanted {
            return Err(format!(
                "the image's label {label} is {found:?} and should be {wanted:?}; Slipway sets it, so remove it from \
                 the Dockerfile"
            ));
        }
    }
    Ok(())
}
