//! HTTPRoutes, of the Gateway API and of Linkerd: every rule that leads to both versions. Pure.
//!
//! A backend's share is its weight out of the sum of those of its rule; without one, its weight is 1
//! (`kubernetes-sigs/gateway-api`, `apis/v1/shared_types.go`).

use serde_json::Value as Json;

use super::split::{Fork, Grain, Split};
use super::{Backends, RouteError, found};

/// Where an HTTPRoute splits the traffic.
pub(super) fn split(route: &Json, name: &str, backends: &Backends) -> Result<Split, RouteError> {
    let rules = route["spec"]["rules"].as_array();
    let mut forks = Vec::new();
    let mut seen = Vec::new();
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        let list = rule["backendRefs"].as_array().cloned().unwrap_or_default();
        let is = |wanted: &str| list.iter().position(|b| is_service(b, wanted, backends));
        match (is(&backends.stable), is(&backends.canary)) {
            (Some(stable), Some(canary)) => forks.push(Fork {
                name: format!("{name}, rule {}", index + 1),
                list: format!("/spec/rules/{index}/backendRefs"),
                backends: list,
                stable,
                canary,
                default: 1,
            }),
            _ => seen.extend(
                list.iter()
                    .filter_map(|b| b["name"].as_str().map(str::to_owned)),
            ),
        }
    }
    if forks.is_empty() {
        return Err(RouteError::NoFork {
            route: name.to_owned(),
            stable: backends.stable.clone(),
            canary: backends.canary.clone(),
            found: found(&seen),
        });
    }
    Ok(Split {
        forks,
        grain: Grain::Ratio,
    })
}

/// Whether a backend is that Service of the environment's namespace.
fn is_service(backend: &Json, name: &str, backends: &Backends) -> bool {
    let is = |key: &str, default: &str, value: &str| {
        backend[key]
            .as_str()
            .filter(|text| !text.is_empty())
            .unwrap_or(default)
            == value
    };
    let is_core = matches!(backend["group"].as_str(), None | Some("" | "core"));
    is_core
        && is("kind", "Service", "Service")
        && is("namespace", &backends.namespace, &backends.namespace)
        && is("name", "", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn backends() -> Backends {
        Backends {
            namespace: "shop".to_owned(),
            stable: "orders-stable".to_owned(),
            canary: "orders-canary".to_owned(),
        }
    }

    #[test]
    fn every_rule_that_leads_to_both_is_a_fork() {
        let route = json!({ "spec": { "rules": [
            { "backendRefs": [{ "name": "docs", "port": 80 }] },
            { "backendRefs": [
                { "name": "orders-stable", "port": 80, "weight": 90 },
                { "name": "orders-canary", "port": 80, "weight": 10, "namespace": "shop", "group": "", "kind": "Service" },
            ] },
            { "backendRefs": [{ "name": "orders-canary" }, { "name": "orders-stable", "weight": 9 }] },
            { "filters": [] },
        ] } });
        let split = split(&route, "HTTPRoute orders", &backends()).unwrap();
        let places: Vec<_> = split
            .forks
            .iter()
            .map(|fork| (fork.list.as_str(), fork.stable, fork.canary))
            .collect();
        assert_eq!(
            places,
            [
                ("/spec/rules/1/backendRefs", 0, 1),
                ("/spec/rules/2/backendRefs", 1, 0)
            ]
        );
        assert_eq!(split.share().to_string(), "10%");
    }

    #[test]
    fn a_route_without_the_two_services_is_refused_with_what_it_has() {
        let elsewhere = json!({ "spec": { "rules": [{ "backendRefs": [
            { "name": "orders-stable" },
            { "name": "orders-canary", "namespace": "other" },
        ] }] } });
        let wrong = split(&elsewhere, "HTTPRoute orders", &backends()).unwrap_err();
        let words = wrong.to_string();
        assert!(
            words.contains(
                "no rule of HTTPRoute orders leads to both orders-stable and orders-canary"
            ),
            "{words}"
        );
        let empty = split(&json!({}), "HTTPRoute orders", &backends()).unwrap_err();
        assert!(empty.to_string().contains("nothing"), "{empty}");
    }
}
