//! Requests of testers, which reach the canary whatever its share is: the same rules as those that split the traffic,
//! with one more condition, and with the canary alone behind them. Pure.
//!
//! HTTPRoutes get them in a second route: of two rules that match a request, the one with more headers is taken
//! (`kubernetes-sigs/gateway-api`, `apis/v1/httproute_types.go`, `HTTPRouteRule.matches`). A VirtualService takes the
//! first rule that matches, so they are put before the others of the same object, under a name of ours.

use domain::spec::Testers;
use serde_json::{Value as Json, json};

use super::split::Split;

/// How the names of our rules in a VirtualService begin.
const OURS: &str = "slipway-testers";

/// The route beside an HTTPRoute.
pub(super) fn http_route(route: &Json, name: &str, split: &Split, testers: &Testers) -> Json {
    let marker = testers.marker();
    let header = match testers {
        Testers::Header(_) => {
            json!({ "type": "Exact", "name": marker.name, "value": marker.value })
        }
        Testers::Cookie(_) => {
            json!({ "type": "RegularExpression", "name": "cookie", "value": cookie(testers) })
        }
    };
    let rules = split.forks.iter().map(|fork| {
        let mut rule = parent(route, &fork.list).cloned().unwrap_or_default();
        let mut matches = rule["matches"].as_array().cloned().unwrap_or_default();
        if matches.is_empty() {
            matches.push(json!({}));
        }
        for one in &mut matches {
            let mut headers = one["headers"].as_array().cloned().unwrap_or_default();
            headers.push(header.clone());
            one["headers"] = Json::from(headers);
        }
        rule["matches"] = Json::from(matches);
        rule["backendRefs"] = json!([alone(&fork.backends[fork.canary])]);
        rule
    });
    let mut spec = json!({
        "parentRefs": route["spec"]["parentRefs"],
        "rules": rules.collect::<Vec<_>>(),
    });
    if let Some(hostnames) = route["spec"].get("hostnames") {
        spec["hostnames"] = hostnames.clone();
    }
    json!({
        "apiVersion": route["apiVersion"],
        "kind": "HTTPRoute",
        "metadata": { "name": name },
        "spec": spec,
    })
}

/// The JSON patch that puts the rules into a VirtualService; empty where they are there. It holds only as long as its
/// rules are those that were read.
pub(super) fn put(route: &Json, split: &Split, testers: &Testers) -> Vec<Json> {
    let http = route["spec"]["http"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if http.iter().any(is_ours) {
        return Vec::new();
    }
    let condition = match testers {
        Testers::Header(marker) => (
            marker.name.to_ascii_lowercase(),
            json!({ "exact": marker.value }),
        ),
        Testers::Cookie(_) => ("cookie".to_owned(), json!({ "regex": cookie(testers) })),
    };
    let mut indices: Vec<(usize, &super::split::Fork)> = split
        .forks
        .iter()
        .filter_map(|fork| Some((index(&fork.list)?, fork)))
        .collect();
    // From the last one on, so that the places of the others stay.
    indices.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
    let mut patch = vec![json!({ "op": "test", "path": "/spec/http", "value": http })];
    for (index, fork) in indices {
        let mut rule = http[index].clone();
        let mut matches = rule["match"].as_array().cloned().unwrap_or_default();
        if matches.is_empty() {
            matches.push(json!({}));
        }
        for one in &mut matches {
            one["headers"][&condition.0] = condition.1.clone();
        }
        rule["match"] = Json::from(matches);
        rule["name"] = json!(format!("{OURS}-{index}"));
        rule["route"] = json!([alone(&fork.backends[fork.canary])]);
        patch.push(json!({ "op": "add", "path": format!("/spec/http/{index}"), "value": rule }));
    }
    patch
}

/// The JSON patch that takes them out; empty where they are not there.
pub(super) fn taken_out(route: &Json) -> Vec<Json> {
    let http = route["spec"]["http"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let ours = (0..http.len()).rev().filter(|index| is_ours(&http[*index]));
    let removals: Vec<Json> = ours
        .map(|index| json!({ "op": "remove", "path": format!("/spec/http/{index}") }))
        .collect();
    if removals.is_empty() {
        return removals;
    }
    let test = json!({ "op": "test", "path": "/spec/http", "value": http });
    [test].into_iter().chain(removals).collect()
}

/// Whether a rule of a VirtualService is one of ours.
pub(super) fn is_ours(rule: &Json) -> bool {
    rule["name"]
        .as_str()
        .is_some_and(|name| name.starts_with(OURS))
}

/// A backend that gets everything.
fn alone(backend: &Json) -> Json {
    let mut backend = backend.clone();
    if let Some(backend) = backend.as_object_mut() {
        backend.remove("weight");
    }
    backend
}

/// The rule that has a list of backends.
fn parent<'r>(route: &'r Json, list: &str) -> Option<&'r Json> {
    route.pointer(list.rsplit_once('/')?.0)
}

/// The place of the rule that has a list of backends.
fn index(list: &str) -> Option<usize> {
    list.rsplit_once('/')?.0.rsplit_once('/')?.1.parse().ok()
}

/// The whole header `cookie` of a request that has the cookie among others.
fn cookie(testers: &Testers) -> String {
    let marker = testers.marker();
    let quoted = |text: &str| -> String {
        let each = text.chars().map(|c| match c {
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => c.to_string(),
            c => format!("\\{c}"),
        });
        each.collect()
    };
    let (name, value) = (quoted(&marker.name), quoted(&marker.value));
    format!("^(.*; ?)?{name}={value}(;.*)?$")
}

#[cfg(test)]
mod tests {
    use super::super::split::{Fork, Grain};
    use super::*;

    fn split(list: &str, backends: &Json) -> Split {
        Split {
            forks: vec![Fork {
                name: "r".to_owned(),
                list: list.to_owned(),
                backends: backends.as_array().cloned().unwrap(),
                stable: 0,
                canary: 1,
                default: 1,
            }],
            grain: Grain::Ratio,
        }
    }

    fn header() -> Testers {
        Testers::Header("X-Canary=always".parse().unwrap())
    }

    #[test]
    fn testers_of_an_http_route_have_a_route_with_one_more_header() {
        let backends =
            json!([{ "name": "a", "weight": 90 }, { "name": "b", "port": 80, "weight": 10 }]);
        let path = json!({ "type": "PathPrefix", "value": "/api" });
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "front", "resourceVersion": "7" },
            "spec": {
                "parentRefs": [{ "name": "outside" }], "hostnames": ["a.example.org"],
                "rules": [
                    { "backendRefs": [{ "name": "docs" }] },
                    { "matches": [{ "path": path }], "timeouts": { "request": "5s" }, "backendRefs": backends },
                ],
            },
        });
        let split = split("/spec/rules/1/backendRefs", &backends);
        assert_eq!(
            http_route(&route, "front-testers", &split, &header()),
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
                "metadata": { "name": "front-testers" },
                "spec": {
                    "parentRefs": [{ "name": "outside" }], "hostnames": ["a.example.org"],
                    "rules": [{
                        "matches": [{
                            "path": path,
                            "headers": [{ "type": "Exact", "name": "X-Canary", "value": "always" }],
                        }],
                        "timeouts": { "request": "5s" },
                        "backendRefs": [{ "name": "b", "port": 80 }],
                    }],
                },
            })
        );
    }

    #[test]
    fn testers_of_a_virtual_service_come_first_and_go_again() {
        let to =
            |host: &str, weight: u64| json!({ "destination": { "host": host }, "weight": weight });
        let backends = json!([to("a", 100), to("b", 0)]);
        let primary = json!({ "name": "primary", "route": backends });
        let service = json!({ "spec": { "http": [{ "name": "docs" }, primary] } });
        let split = split("/spec/http/1/route", &backends);
        let patch = put(&service, &split, &header());
        let rule = json!({
            "name": "slipway-testers-1",
            "match": [{ "headers": { "x-canary": { "exact": "always" } } }],
            "route": [{ "destination": { "host": "b" } }],
        });
        assert_eq!(
            patch[1..],
            [json!({ "op": "add", "path": "/spec/http/1", "value": rule })]
        );
        assert!(taken_out(&service).is_empty());
        let with = json!({ "spec": { "http": [{ "name": "docs" }, rule, primary] } });
        assert!(put(&with, &split, &header()).is_empty());
        assert_eq!(
            taken_out(&with)[1..],
            [json!({ "op": "remove", "path": "/spec/http/1" })]
        );
    }

    #[test]
    fn a_cookie_is_looked_for_among_others() {
        let testers = Testers::Cookie("canary=a.b".parse().unwrap());
        assert_eq!(cookie(&testers), r"^(.*; ?)?canary=a\.b(;.*)?$");
    }
}
