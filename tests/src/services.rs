//! Services that Slipway carries in the tests. None of them needs a network to be built.

use anyhow::Result;
use testkit::docker::BUSYBOX;
use testkit::git::GitRepository;

/// The entry point of the small service: it answers `<version> <GREETING>` on port 8080.
pub const SHELL_SERVICE: &str = "\
#!/bin/sh
mkdir -p /www
echo \"$SLIPWAY_VERSION ${GREETING:-hello}\" > /www/index.html
echo listening
trap 'exit 0' TERM
httpd -f -p 8080 -h /www &
wait
";

/// The Dockerfile of the small service.
#[must_use]
pub fn shell_dockerfile() -> String {
    format!(
        "FROM {BUSYBOX}\nCOPY serve.sh /serve.sh\nEXPOSE 8080\nENTRYPOINT [\"sh\", \"/serve.sh\"]\n"
    )
}

/// The small service: a shell script and busybox's web server, in an image of two megabytes. `more` goes at the end of
/// its `slipway.yaml`.
///
/// # Errors
/// When Git can't be run.
pub fn small(name: &str, more: &str) -> Result<GitRepository> {
    let yaml = small_yaml(name, more);
    GitRepository::with_files(&[
        ("slipway.yaml", &yaml),
        ("Dockerfile", &shell_dockerfile()),
        ("serve.sh", SHELL_SERVICE),
    ])
}

/// The `slipway.yaml` of the small service.
#[must_use]
pub fn small_yaml(name: &str, more: &str) -> String {
    format!(
        "service: {name}\ndeploy: {{ port: 8080, replicas: 2, ready: {{ http: / }}, drain: 1s }}\n{more}"
    )
}
