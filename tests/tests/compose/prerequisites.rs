//! What a machine must have for `docker compose up -d --build`.

use slipway_tests::docker::{docker, has_image};

/// What the Dockerfile and docker-compose.yml start from.
const IMAGES: [&str; 4] = [
    "rust:1.95",
    "debian:bookworm-slim",
    "registry:2",
    "nats:2.10-alpine",
];

/// Whether everything is there; if not, the test is left out.
pub(crate) fn are_there() -> bool {
    let missing = ["compose", "buildx"]
        .into_iter()
        .find(|plugin| docker(&[plugin, "version"]).is_err())
        .map(|plugin| format!("docker {plugin}"))
        .or_else(|| {
            IMAGES
                .into_iter()
                .find(|image| !has_image(image))
                .map(|image| format!("image {image}"))
        });
    let Some(missing) = missing else { return true };
    testkit::skip::skip(&format!("no {missing}"));
    false
}
