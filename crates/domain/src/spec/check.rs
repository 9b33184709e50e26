//! What one file alone cannot tell: whether the files that it names are there, and whether the services fit together.

mod comparisons;

use std::collections::HashMap;

use super::build::BuildContainer;
use super::test::Dependencies;
use super::{EXAMPLE, ServiceSpec};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, nearest};
use crate::document::load;
use crate::ids::ServiceName;
use crate::platform::PlatformSpec;

pub use comparisons::uncounted;

/// Checks that every file and folder that the specification names is there. `text` is what it was parsed from (empty
/// where there was no `slipway.yaml`), and `exists` is asked for paths relative to the folder of that file, without `/`
/// at the end.
#[must_use]
pub fn check_files(
    path: &str,
    text: &str,
    spec: &ServiceSpec,
    exists: impl Fn(&str) -> bool,
) -> Diagnostics {
    let mut named: Vec<(&str, &[&str], &str)> = vec![
        (
            "Dockerfile",
            &["image", "dockerfile"],
            &spec.image.dockerfile,
        ),
        ("folder", &["image", "context"], &spec.image.context),
    ];
    if let Some(BuildContainer::Dockerfile(file)) = spec.build.as_ref().map(|b| &b.container) {
        named.push(("Dockerfile", &["build", "dockerfile"], file));
    }
    if let Some(Dependencies::Compose(file)) = spec
        .test
        .functional
        .as_ref()
        .and_then(|f| f.dependencies.as_ref())
    {
        named.push(("Compose file", &["test", "functional", "compose"], file));
    }
    if let Some(folder) = spec.deploy.as_ref().and_then(|d| d.manifests.as_ref()) {
        named.push((
            "folder or file of manifests",
            &["deploy", "manifests"],
            folder,
        ));
    }
    let file = File::new(path, text);
    let mut missing: Vec<Diagnostic> = Vec::new();
    let mut check = |kind: &str, at: &[&str], named: &str| {
        let plain = plain(named);
        if !plain.is_empty() && !exists(&plain) {
            let message = format!("the {kind} `{named}` does not exist");
            missing.push(
                file.error(at, message)
                    .help(format!("create it, or correct `{}`", at.join("."))),
            );
        }
    };
    for (kind, at, path) in named {
        check(kind, at, path);
    }
    for contract in &spec.contracts.provides {
        check("contract", &["contracts", "provides", contract], contract);
    }
    for (service, contract) in &spec.contracts.consumes {
        check(
            "contract",
            &["contracts", "consumes", service.as_str()],
            contract,
        );
    }
    Diagnostics::of(&file.source, missing)
}

/// Checks that every environment that the specification names is one of the platform's, and that what its analyses
/// compare is counted there.
#[must_use]
pub fn check_environments(
    path: &str,
    text: &str,
    spec: &ServiceSpec,
    platform: &PlatformSpec,
) -> Diagnostics {
    let file = File::new(path, text);
    let named = spec.deploy.iter().flat_map(|d| d.environments.keys());
    let unknown = named.filter_map(|name| {
        let error = platform.environment(name.as_str()).err()?;
        let near = nearest(
            name.as_str(),
            platform.environments.keys().map(|n| n.as_str()),
        );
        let help = near.map_or_else(
            || "environments are declared in platform.yaml".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let at = file.key(&["deploy", "environments"], name.as_str());
        Some(file.source.error(at, error.to_string()).help(help))
    });
    let mut found: Vec<Diagnostic> = unknown.collect();
    found.extend(comparisons::of_service(&file, spec, platform));
    Diagnostics::of(&file.source, found)
}

/// Checks services against each other: `(path, text, specification)` of each. Two of one name, one that needs itself
/// and needs in a circle are errors; a need that is none of them is a warning, for it may be carried elsewhere.
#[must_use]
pub fn check_needs(services: &[(String, String, ServiceSpec)]) -> Diagnostics {
    let files: Vec<File> = services
        .iter()
        .map(|(path, text, _)| File::new(path, text))
        .collect();
    let mut by_name: HashMap<&ServiceName, usize> = HashMap::new();
    let mut found: Vec<Vec<Diagnostic>> = vec![Vec::new(); services.len()];
    for (index, (_, _, spec)) in services.iter().enumerate() {
        if let Some(first) = by_name.insert(&spec.service, index) {
            by_name.insert(&spec.service, first);
            let message = format!("there are two services named `{}`", spec.service);
            let help = format!("the other one is in {}", services[first].0);
            found[index].push(files[index].error(&["service"], message).help(help));
        }
    }
    for (index, (_, _, spec)) in services.iter().enumerate() {
        for need in &spec.needs {
            let at = ["needs", need.as_str()];
            if *need == spec.service {
                let error = files[index].error(&at, format!("`{need}` needs itself"));
                found[index].push(error.help("leave it out: a service is always there for itself"));
            } else if !by_name.contains_key(need) {
                let near = nearest(
                    need.as_str(),
                    by_name
                        .keys()
                        .map(|n| n.as_str())
                        .filter(|n| *n != spec.service.as_str()),
                );
                let help = near.map(|near| format!("did you mean `{near}`?"));
                let warning = files[index]
                    .error(&at, format!("`{need}` is none of the services here"))
                    .warning();
                found[index].push(warning.maybe_help(help));
            }
        }
    }
    for circle in circles(services, &by_name) {
        let first = circle[0];
        let names: Vec<&str> = circle
            .iter()
            .chain([&first])
            .map(|i| services[*i].2.service.as_str())
            .collect();
        let error = files[first].error(
            &["needs", names[1]],
            format!(
                "these services need each other in a circle: {}",
                names.join(" → ")
            ),
        );
        found[first]
            .push(error.help(
                "one of them must be deployable before the other: remove one of these needs",
            ));
    }
    let mut all = Diagnostics::default();
    for (file, found) in files.iter().zip(found) {
        all.extend(Diagnostics::of(&file.source, found));
    }
    all
}

/// Every circle that a walk along `needs` closes, each once; those that need themselves are not among them.
fn circles(
    services: &[(String, String, ServiceSpec)],
    by_name: &HashMap<&ServiceName, usize>,
) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnPath,
        Done,
    }
    let needs = |of: usize| -> Vec<usize> {
        services[of]
            .2
            .needs
            .iter()
            .filter_map(|need| by_name.get(need).copied())
            .filter(|need| *need != of)
            .collect()
    };
    let mut marks = vec![Mark::New; services.len()];
    let mut circles = Vec::new();
    for start in 0..services.len() {
        if marks[start] != Mark::New {
            continue;
        }
        // The path from `start`, each with the needs that are still to be followed: no recursion, however long it is.
        marks[start] = Mark::OnPath;
        let mut path = vec![(start, needs(start))];
        while let Some((at, open)) = path.last_mut() {
            let at = *at;
            match open.pop() {
                None => {
                    marks[at] = Mark::Done;
                    path.pop();
                }
                Some(next) if marks[next] == Mark::OnPath => {
                    circles.push(
                        path.iter()
                            .map(|(i, _)| *i)
                            .skip_while(|i| *i != next)
                            .collect(),
                    );
                }
                Some(next) if marks[next] == Mark::New => {
                    marks[next] = Mark::OnPath;
                    let open = needs(next);
                    path.push((next, open));
                }
                Some(_) => {}
            }
        }
    }
    circles
}

/// A file with its tree, if it has one, to find places in it.
struct File {
    source: Source,
    root: Option<crate::document::Node>,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let source = Source::new(path, text);
        let root = load(&source, EXAMPLE).ok();
        Self { source, root }
    }

    fn error(&self, at: &[&str], message: String) -> Diagnostic {
        self.source.error(
            self.root.as_ref().map_or(0..0, |root| root.place(at)),
            message,
        )
    }

    /// The place of a key in the mapping that `at` leads to.
    fn key(&self, at: &[&str], key: &str) -> std::ops::Range<usize> {
        self.root
            .as_ref()
            .and_then(|root| root.place_of_key(at, key))
            .unwrap_or(0..0)
    }
}

/// `./deploy/` is `deploy`; the folder itself is nothing.
fn plain(path: &str) -> String {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect::<Vec<_>>()
        .join("/")
}
