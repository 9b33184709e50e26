//! Analyses that compare requests, where nobody counts them or where only one version has any.

use super::File;
use crate::diagnostic::Diagnostic;
use crate::platform::{PlatformSpec, Target};
use crate::spec::{Deploy, ServiceSpec, Strategy};

/// Why `errors` and `latency` can't be judged on Kubernetes, and what to do.
#[must_use]
pub fn uncounted(comparisons: &[&str], environment: &str) -> String {
    let both: Vec<String> = comparisons.iter().map(|key| format!("`{key}`")).collect();
    format!(
        "{} of the analysis can't be judged in {environment}: they compare the requests that Slipway's own proxy counts \
         for each version, and on Kubernetes it is not in front of the service; measure them with `metrics` and \
         `prometheus` there",
        both.join(" and ")
    )
}

/// What is wrong with the analyses of a service in the environments of a platform.
pub(super) fn of_service(
    file: &File,
    spec: &ServiceSpec,
    platform: &PlatformSpec,
) -> Vec<Diagnostic> {
    let Some(deploy) = &spec.deploy else {
        return Vec::new();
    };
    let mut found: Vec<Diagnostic> = Vec::new();
    for (name, environment) in &platform.environments {
        let own = deploy.environments.get(name);
        let is_own = own.is_some_and(|own| own.strategy.is_some());
        let (name, there) = (name.as_str(), deploy.in_environment(name));
        let strategy: &[&str] = if is_own {
            &["deploy", "environments", name, "strategy"]
        } else {
            &["deploy", "strategy"]
        };
        let is_on_kubernetes = matches!(environment.target, Target::Kubernetes(_));
        let Some(diagnostic) = of_strategy(file, &there, strategy, name, is_on_kubernetes) else {
            continue;
        };
        let is_told = |other: &Diagnostic| other.message == diagnostic.message;
        if !found.iter().any(is_told) {
            found.push(diagnostic);
        }
    }
    found
}

fn of_strategy(
    file: &File,
    deploy: &Deploy,
    at: &[&str],
    environment: &str,
    is_on_kubernetes: bool,
) -> Option<Diagnostic> {
    let (analysis, name) = match &deploy.strategy {
        Strategy::Rolling(_) => return None,
        Strategy::BlueGreen(blue_green) => (blue_green.analysis.as_ref()?, "blue_green"),
        Strategy::Canary(canary) => (canary.analysis.as_ref()?, "canary"),
    };
    let comparisons = analysis.comparisons();
    let first = *comparisons.first()?;
    let place = [at, &[name, "analysis", first]].concat();
    if is_on_kubernetes {
        return Some(file.error(&place, uncounted(&comparisons, environment)));
    }
    let is_alone = name == "blue_green" && analysis.load.is_none();
    is_alone.then(|| {
        let message = format!(
            "`{first}` compares requests to both versions at the same time, and of a blue-green switch only those to the \
             preview of the new version come then"
        );
        let help = "let `load` send some to both, or measure with `metrics`";
        file.error(&place, message).warning().help(help)
    })
}
