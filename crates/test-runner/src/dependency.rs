//! What a service under test depends on, whichever way it was declared, and the order in which it starts.

use std::collections::{BTreeMap, BTreeSet};

use domain::spec::DependencyService;
use indexmap::IndexMap;

use crate::readiness::{Check, Sign};
use crate::suite::env_of;

/// A container that the service under test needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// Its name, which is its host name too.
    pub(crate) name: String,
    /// Further host names.
    pub(crate) aliases: Vec<String>,
    pub(crate) image: String,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) user: Option<String>,
    /// Files or folders of the repository, relative to the service's folder, and where they go.
    pub(crate) files: Vec<(String, String)>,
    /// Those that must be ready before it starts.
    pub(crate) after: Vec<String>,
    pub(crate) check: Check,
}

/// The dependencies that a service file declares.
pub(crate) fn declared(services: &IndexMap<String, DependencyService>) -> Vec<Dependency> {
    let dependency = |(name, service): (&String, &DependencyService)| Dependency {
        name: name.clone(),
        aliases: Vec::new(),
        image: service.image.clone(),
        env: env_of(&service.env),
        entrypoint: None,
        command: (!service.command.is_empty()).then(|| service.command.clone()),
        user: None,
        files: Vec::new(),
        after: Vec::new(),
        check: service
            .ready
            .as_ref()
            .map_or_else(|| Check::for_(Sign::Running), Check::of),
    };
    services.iter().map(dependency).collect()
}

/// Groups dependencies so that each comes in a later group than those that it starts after.
///
/// # Errors
/// A sentence about one that is not there, or about a circle.
pub(crate) fn groups(mut waiting: Vec<Dependency>) -> Result<Vec<Vec<Dependency>>, String> {
    let names: BTreeSet<String> = waiting
        .iter()
        .map(|dependency| dependency.name.clone())
        .collect();
    for dependency in &waiting {
        if let Some(absent) = dependency.after.iter().find(|name| !names.contains(*name)) {
            return Err(format!(
                "{} depends on {absent}, which is not among the services",
                dependency.name
            ));
        }
    }
    let mut groups = Vec::new();
    let mut started = BTreeSet::new();
    while !waiting.is_empty() {
        let (now, later): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|dependency| dependency.after.iter().all(|name| started.contains(name)));
        if now.is_empty() {
            let names: Vec<&str> = later
                .iter()
                .map(|dependency| dependency.name.as_str())
                .collect();
            return Err(format!(
                "the services {} depend on each other in a circle",
                names.join(", ")
            ));
        }
        started.extend(now.iter().map(|dependency| dependency.name.clone()));
        groups.push(now);
        waiting = later;
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, after: &[&str]) -> Dependency {
        let service = DependencyService {
            image: "redis:7".to_owned(),
            env: IndexMap::new(),
            command: Vec::new(),
            ready: None,
        };
        let mut made = declared(&IndexMap::from([(name.to_owned(), service)])).remove(0);
        made.after = after.iter().map(|name| (*name).to_owned()).collect();
        made
    }

    #[test]
    fn each_comes_after_what_it_depends_on() {
        let all = vec![
            dependency("web", &["api"]),
            dependency("api", &["db", "cache"]),
            dependency("db", &[]),
            dependency("cache", &[]),
        ];
        let groups = groups(all).unwrap();
        let names: Vec<Vec<&str>> = groups
            .iter()
            .map(|g| g.iter().map(|d| d.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["db", "cache"], vec!["api"], vec!["web"]]);
    }

    #[test]
    fn circles_and_absent_services_are_told() {
        let circle = groups(vec![
            dependency("a", &["b"]),
            dependency("b", &["a"]),
            dependency("c", &[]),
        ])
        .unwrap_err();
        assert_eq!(circle, "the services a, b depend on each other in a circle");
        assert!(
            groups(vec![dependency("a", &["z"])])
                .unwrap_err()
                .contains("a depends on z")
        );
    }
}
