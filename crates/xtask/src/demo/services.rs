//! The services of the demo application, as their `slipway.yaml` files say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A service of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub name: String,
    /// Its folder in `deploy/demo`.
    pub folder: PathBuf,
    /// The services that its tests in an environment call.
    pub needs: BTreeSet<String>,
}

/// Reads the services in `folder`, each after those that it needs.
pub(super) fn read(folder: &Path) -> Result<Vec<Service>> {
    let mut services = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    for entry in entries {
        let folder = entry?.path();
        let file = folder.join("slipway.yaml");
        if !file.exists() {
            continue;
        }
        let text = fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        let spec = domain::spec::parse(&file.display().to_string(), &text)?;
        services.push(Service {
            name: spec.service.to_string(),
            folder,
            needs: spec.needs.iter().map(ToString::to_string).collect(),
        });
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    in_order(services)
}

fn in_order(mut left: Vec<Service>) -> Result<Vec<Service>> {
    let mut ordered: Vec<Service> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_there = |name: &String| ordered.iter().any(|service| service.name == *name);
        let next = left
            .iter()
            .position(|service| service.needs.iter().all(is_there));
        let Some(next) = next else {
            let names: Vec<_> = left.iter().map(|service| service.name.as_str()).collect();
            bail!(
                "{} need each other in a circle, or something that the demo hasn't got",
                names.join(", ")
            );
        };
        ordered.push(left.remove(next));
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, needs: &[&str]) -> Service {
        Service {
            name: name.to_owned(),
            folder: PathBuf::new(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        }
    }

    #[test]
    fn a_service_comes_after_those_that_it_needs() {
        let services = vec![
            service("a", &["c"]),
            service("b", &[]),
            service("c", &["b"]),
        ];
        let names: Vec<_> = in_order(services).expect("an order exists");
        let names: Vec<_> = names.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }

    #[test]
    fn a_circle_is_named() {
        let circle = vec![service("a", &["b"]), service("b", &["a"])];
        let error = in_order(circle).expect_err("no order exists");
        assert!(error.to_string().starts_with("a, b need each other"));
    }

    #[test]
    fn the_storefront_comes_last() {
        let services = read(&crate::repository_root().join("deploy/demo")).expect("readable");
        assert_eq!(services.last().expect("five").name, "storefront");
    }
}
