//! Caches of build containers: named volumes, one for each service and path.
//!
//! A path outside the workspace (`/usr/local/cargo/registry`) is the volume itself. A path inside it (`target`) has
//! to be in the workspace image afterwards, which volumes are not: it is copied from the volume before the team's
//! commands and back after them.

use container_stage::naming::{WORKSPACE, role};
use domain::ids::ServiceName;
use engine::Mount;
use engine::labels;
use sha2::{Digest as _, Sha256};

/// Where volumes of paths inside the workspace are mounted.
const MOUNTED_AT: &str = "/slipway-cache";

/// The caches of one build.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Caches {
    /// Volumes to mount.
    pub(crate) mounts: Vec<Mount>,
    /// Command lines before the team's; they print nothing.
    pub(crate) restore: Vec<String>,
    /// Command lines after the team's.
    pub(crate) save: Vec<String>,
}

/// The caches that `paths` of a service ask for.
pub(crate) fn caches(service: &ServiceName, paths: &[String]) -> Caches {
    let mut caches = Caches {
        mounts: Vec::new(),
        restore: Vec::new(),
        save: Vec::new(),
    };
    for (index, path) in paths.iter().enumerate() {
        let absolute = path.starts_with('/') && !path.starts_with(&format!("{WORKSPACE}/"));
        let target = if absolute {
            path.clone()
        } else {
            format!("{MOUNTED_AT}/{index}")
        };
        caches.mounts.push(Mount {
            volume: volume(service, path),
            target: target.clone(),
            read_only: false,
            labels: labels::of([
                (labels::ROLE, role::CACHE),
                (labels::SERVICE, service.as_str()),
            ]),
        });
        if !absolute {
            let path = quoted(path);
            caches
                .restore
                .push(format!("mkdir -p {path} && cp -a {target}/. {path}/"));
            caches.save.push(format!(
                "if [ -d {path} ]; then find {target} -mindepth 1 -maxdepth 1 -exec rm -rf {{}} + && cp -a {path}/. {target}/; fi"
            ));
        }
    }
    caches
}

/// The volume of a service's cache; the path is hashed since volume names take few characters.
fn volume(service: &ServiceName, path: &str) -> String {
    let hash = hex::encode(Sha256::digest(path.as_bytes()));
    format!("slipway-cache-{service}-{}", &hash[..12])
}

/// A path as one word of a shell.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_the_workspace_is_copied_and_the_rest_is_mounted() {
        let service = "delivery".parse().unwrap();
        let caches = caches(
            &service,
            &["target".to_owned(), "/usr/local/cargo/registry".to_owned()],
        );
        let targets: Vec<&str> = caches.mounts.iter().map(|m| m.target.as_str()).collect();
        assert_eq!(targets, ["/slipway-cache/0", "/usr/local/cargo/registry"]);
        assert_eq!(
            caches.restore,
            ["mkdir -p 'target' && cp -a /slipway-cache/0/. 'target'/"]
        );
        assert_eq!(caches.save.len(), 1);
    }

    #[test]
    fn services_share_no_cache() {
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_ne!(volume(&a, "target"), volume(&b, "target"));
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
