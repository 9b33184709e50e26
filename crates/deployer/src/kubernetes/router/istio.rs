//! VirtualServices of Istio, with two Services or with two subsets of a DestinationRule. Pure.
//!
//! The weights of a route are percent and must be 100 in all; where there is one destination only, it needs none.

use domain::spec::VirtualService;
use serde_json::{Value as Json, json};

use super::split::{Fork, Grain, Split};
use super::{Backends, RouteError, found, testers};
use crate::kubernetes::objects::label;

/// Where a VirtualService splits the traffic.
pub(super) fn split(
    route: &Json,
    name: &str,
    of: &VirtualService,
    backends: &Backends,
) -> Result<Split, RouteError> {
    let all = route["spec"]["http"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut forks = Vec::new();
    for index in chosen(&all, name, &of.routes)? {
        let list = all[index]["route"].as_array().cloned().unwrap_or_default();
        let is = |wanted: &str| {
            list.iter().position(|backend| {
                let destination = &backend["destination"];
                match of.destination_rule {
                    Some(_) => destination["subset"] == wanted,
                    None => is_host(destination["host"].as_str(), wanted, &backends.namespace),
                }
            })
        };
        let (Some(stable), Some(canary)) = (is(&backends.stable), is(&backends.canary)) else {
            let destinations = list
                .iter()
                .map(|backend| backend["destination"].to_string());
            return Err(RouteError::NoFork {
                route: called(name, &all, index),
                stable: backends.stable.clone(),
                canary: backends.canary.clone(),
                found: found(destinations),
            });
        };
        forks.push(Fork {
            name: called(name, &all, index),
            list: format!("/spec/http/{index}/route"),
            backends: list,
            stable,
            canary,
            default: 0,
        });
    }
    Ok(Split {
        forks,
        grain: Grain::Percent,
    })
}

/// Which of the HTTP routes are meant.
fn chosen(all: &[Json], name: &str, named: &[String]) -> Result<Vec<usize>, RouteError> {
    let names = || found(all.iter().filter_map(|r| r["name"].as_str()));
    let theirs: Vec<usize> = (0..all.len())
        .filter(|index| !testers::is_ours(&all[*index]))
        .collect();
    match (named, theirs.as_slice()) {
        ([], [only]) => Ok(vec![*only]),
        ([], []) => Err(RouteError::NoHttp {
            route: name.to_owned(),
        }),
        ([], _) => Err(RouteError::Several {
            route: name.to_owned(),
            count: theirs.len(),
            found: names(),
        }),
        (named, _) => named
            .iter()
            .map(|wanted| {
                let index = all
                    .iter()
                    .position(|route| route["name"] == wanted.as_str());
                index.ok_or_else(|| RouteError::Unnamed {
                    route: name.to_owned(),
                    wanted: wanted.clone(),
                    found: names(),
                })
            })
            .collect(),
    }
}

fn called(name: &str, all: &[Json], index: usize) -> String {
    match all[index]["name"].as_str() {
        Some(route) => format!("{name}, route {route}"),
        None => format!("{name}, route {}", index + 1),
    }
}

/// Whether a host is that Service of the namespace, by its short or one of its long names.
fn is_host(host: Option<&str>, service: &str, namespace: &str) -> bool {
    let Some(rest) = host.and_then(|host| host.strip_prefix(service)) else {
        return false;
    };
    let Some(rest) = rest.strip_prefix('.') else {
        return rest.is_empty();
    };
    let rest = rest.strip_prefix(namespace);
    rest.is_some_and(|rest| rest.is_empty() || rest == ".svc" || rest.starts_with(".svc."))
}

/// The JSON patch that pins the subsets to sets of pods; empty where they are pinned so. It holds only as long as the
/// subsets are those that were read.
pub(super) fn pinned(
    rule: &Json,
    name: &str,
    pins: &[(&str, &str)],
) -> Result<Vec<Json>, RouteError> {
    let subsets = rule["spec"]["subsets"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut patch = vec![json!({ "op": "test", "path": "/spec/subsets", "value": subsets })];
    for (subset, set) in pins {
        let index = subsets.iter().position(|one| one["name"] == *subset);
        let index = index.ok_or_else(|| RouteError::NoSubset {
            rule: name.to_owned(),
            subset: (*subset).to_owned(),
            found: found(subsets.iter().filter_map(|s| s["name"].as_str())),
        })?;
        let labels = &subsets[index]["labels"];
        if labels[label::SET] == *set {
            continue;
        }
        let path = format!("/spec/subsets/{index}/labels");
        patch.push(if labels.is_object() {
            json!({ "op": "add", "path": format!("{path}/{}", label::SET), "value": set })
        } else {
            json!({ "op": "add", "path": path, "value": { label::SET: set } })
        });
    }
    Ok(if patch.len() == 1 { Vec::new() } else { patch })
}

/// The JSON patch that takes pins away; empty where there are none.
pub(super) fn unpinned(rule: &Json, names: &[&str]) -> Vec<Json> {
    let subsets = rule["spec"]["subsets"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is_pinned = |subset: &Json| {
        let is_named = subset["name"]
            .as_str()
            .is_some_and(|name| names.contains(&name));
        is_named && subset["labels"].get(label::SET).is_some()
    };
    let pinned = (0..subsets.len()).filter(|index| is_pinned(&subsets[*index]));
    let removals: Vec<Json> = pinned
        .map(|index| {
            let path = format!("/spec/subsets/{index}/labels/{}", label::SET);
            json!({ "op": "remove", "path": path })
        })
        .collect();
    if removals.is_empty() {
        return removals;
    }
    let test = json!({ "op": "test", "path": "/spec/subsets", "value": subsets });
    [test].into_iter().chain(removals).collect()
}

/// The sets to which subsets are pinned.
pub(super) fn pins(rule: &Json, subset: &str) -> Option<String> {
    let subsets = rule["spec"]["subsets"].as_array()?;
    let subset = subsets.iter().find(|one| one["name"] == subset)?;
    Some(subset["labels"][label::SET].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(stable: &str, canary: &str) -> Backends {
        Backends {
            namespace: "shop".to_owned(),
            stable: stable.to_owned(),
            canary: canary.to_owned(),
        }
    }

    fn of(routes: &[&str], destination_rule: Option<&str>) -> VirtualService {
        VirtualService {
            virtual_service: "orders".to_owned(),
            routes: routes.iter().map(|&r| r.to_owned()).collect(),
            destination_rule: destination_rule.map(str::to_owned),
        }
    }

    fn route(name: Option<&str>, stable: (&str, u64), canary: (&str, u64)) -> Json {
        let to = |(host, weight): (&str, u64)| json!({ "destination": { "host": host }, "weight": weight });
        let mut route = json!({ "route": [to(stable), to(canary)] });
        if let Some(name) = name {
            route["name"] = json!(name);
        }
        route
    }

    fn service(routes: &[Json]) -> Json {
        json!({ "spec": { "http": routes } })
    }

    #[test]
    fn only_the_named_routes_are_meant_and_the_only_one_needs_no_name() {
        let (a, b) = (("a", 90), ("b.shop.svc.cluster.local", 10));
        let only = service(&[route(None, a, b)]);
        let backends = backends("a", "b");
        let split_of = |service: &Json, names: &[&str]| {
            split(
                service,
                "VirtualService orders",
                &of(names, None),
                &backends,
            )
        };
        assert_eq!(split_of(&only, &[]).unwrap().share().to_string(), "10%");
        let two = service(&[
            route(Some("x"), ("c", 50), ("d", 50)),
            route(Some("y"), a, b),
        ]);
        assert_eq!(
            split_of(&two, &["y"]).unwrap().forks[0].list,
            "/spec/http/1/route"
        );
        for (service, names, words) in [
            (&two, &[][..], "has 2 HTTP routes (x, y)"),
            (&two, &["z"], "no HTTP route \"z\""),
            (&two, &["x"], "leads to both a and b"),
            (&service(&[]), &[], "has no HTTP routes"),
        ] {
            let wrong = split_of(service, names).unwrap_err().to_string();
            assert!(wrong.contains(words), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_services_of_the_namespace_by_any_of_their_names() {
        for (host, is) in [
            ("a", true),
            ("a.shop", true),
            ("a.shop.svc", true),
            ("a.shop.svc.cluster.local", true),
            ("a.other.svc.cluster.local", false),
            ("a.shopping", false),
            ("ab", false),
        ] {
            assert_eq!(is_host(Some(host), "a", "shop"), is, "{host}");
        }
    }

    #[test]
    fn subsets_are_told_apart_by_name_and_pinned_by_one_label() {
        let to = |subset: &str, weight: u64| json!({ "destination": { "host": "orders", "subset": subset }, "weight": weight });
        let routes = service(&[json!({ "route": [to("stable", 100), to("canary", 0)] })]);
        let of = of(&[], Some("orders"));
        let split = split(
            &routes,
            "VirtualService orders",
            &of,
            &backends("stable", "canary"),
        );
        assert_eq!(split.unwrap().share().to_string(), "0%");

        let rule = json!({ "spec": { "subsets": [
            { "name": "stable", "labels": { "tier": "web", "slipway.set": "one" } },
            { "name": "canary" },
        ] } });
        let patch = pinned(&rule, "r", &[("stable", "one"), ("canary", "two")]).unwrap();
        assert_eq!(
            patch[1..],
            [
                json!({ "op": "add", "path": "/spec/subsets/1/labels", "value": { "slipway.set": "two" } })
            ]
        );
        let patch = pinned(&rule, "r", &[("stable", "two")]).unwrap();
        assert_eq!(
            patch[1..],
            [json!({ "op": "add", "path": "/spec/subsets/0/labels/slipway.set", "value": "two" })]
        );
        assert!(pinned(&rule, "r", &[("stable", "one")]).unwrap().is_empty());
        assert_eq!(pins(&rule, "stable").as_deref(), Some("one"));
        let patch = unpinned(&rule, &["stable", "canary"]);
        assert_eq!(
            patch[1..],
            [json!({ "op": "remove", "path": "/spec/subsets/0/labels/slipway.set" })]
        );
        assert!(unpinned(&rule, &["canary"]).is_empty());
        let wrong = pinned(&rule, "DestinationRule r", &[("new", "one")]).unwrap_err();
        assert!(
            wrong
                .to_string()
                .contains("no subset \"new\"; it has stable, canary"),
            "{wrong}"
        );
    }
}
