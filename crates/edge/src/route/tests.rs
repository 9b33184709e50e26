//! Matches, sessions and weights together, without a network.

use http::header;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    connect::Dns,
    counters::Counters,
    readiness::Seen,
    table::{Match, Pair, Readiness},
};

/// A route as the deployer makes it: versions `v0`, `v1`, … of replicas each, in a session each.
struct Model {
    spec: table::Route,
    backends: Vec<Arc<Backend>>,
    route: Route,
}

impl Model {
    /// With the weights of each version's replicas.
    fn new(versions: &[Vec<u32>]) -> Self {
        let (counters, dns) = (Counters::default(), Arc::new(Dns::of_system()));
        let mut spec = table::Route::default();
        let mut sessions = Vec::new();
        for (version, weights) in versions.iter().enumerate() {
            let version = format!("v{version}");
            let replicas = weights
                .iter()
                .enumerate()
                .map(|(n, weight)| table::Backend {
                    name: format!("{version}-{n}"),
                    address: "127.0.0.1:1".into(),
                    weight: *weight,
                    version: version.clone(),
                    ready: Readiness::default(),
                });
            let replicas: Vec<_> = replicas.collect();
            sessions.push(table::Session {
                value: format!("s-{version}"),
                backends: replicas.iter().map(|b| b.name.clone()).collect(),
            });
            spec.backends.extend(replicas);
        }
        spec.sticky = Some(table::Sticky {
            cookie: "slipway".into(),
            max_age_s: Some(60),
            sessions,
        });
        let make = |spec: &table::Backend| {
            let (counters, stop) = (counters.of(&spec.version), CancellationToken::new());
            let backend = Backend::new(spec.clone(), counters, dns.clone(), stop);
            backend.observe(Seen::Ready);
            Arc::new(backend)
        };
        let backends: Vec<_> = spec.backends.iter().map(make).collect();
        let route = Route::new(&spec, &backends);
        Self {
            spec,
            backends,
            route,
        }
    }

    /// The same replicas with other weights: a new table.
    fn weigh(&mut self, weights: &[u32]) {
        for (backend, weight) in self.spec.backends.iter_mut().zip(weights) {
            backend.weight = *weight;
        }
        self.remake();
    }

    fn remake(&mut self) {
        self.route = Route::new(&self.spec, &self.backends);
    }

    fn set_ready(&self, index: usize, ready: bool) {
        let seen = match ready {
            true => Seen::Ready,
            false => Seen::Not("refused".into()),
        };
        self.backends[index].observe(seen);
        self.route.refresh();
    }

    /// Whether a new client could come to a version.
    fn is_open(&self, version: &str) -> bool {
        let both = self.spec.backends.iter().zip(&self.backends);
        let mut ours = both.filter(|(spec, _)| spec.version == version);
        ours.any(|(spec, backend)| spec.weight > 0 && backend.is_ready())
    }

    /// The version that serves a client, and the cookie that it has afterwards.
    fn ask(&self, cookie: Option<&str>) -> Option<(String, Option<String>)> {
        let choice = self.route.choose(&with_cookie(cookie), &[])?;
        let given = choice.cookie.map(|given| {
            let given = given.to_str().unwrap().to_owned();
            given.split(';').next().unwrap().to_owned()
        });
        let kept = given.or(cookie.map(str::to_owned));
        Some((choice.backend.spec.version.clone(), kept))
    }
}

fn with_cookie(cookie: Option<&str>) -> HeaderMap {
    let value = |cookie: &str| HeaderValue::from_str(cookie).unwrap();
    let pairs = cookie.map(|cookie| (header::COOKIE, value(cookie)));
    pairs.into_iter().collect()
}

fn marked(name: &str, value: &str) -> HeaderMap {
    let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

#[derive(Debug, Clone)]
enum Happens {
    Weights(Vec<u32>),
    Readiness(usize, bool),
    /// A request of a client that keeps its cookies.
    Request(usize),
    /// One with a cookie that it made up.
    Hostile(String),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        2 => prop::collection::vec(prop_oneof![Just(0), 1u32..100], 5).prop_map(Happens::Weights),
        2 => (0usize..5, any::<bool>()).prop_map(|(replica, ready)| Happens::Readiness(replica, ready)),
        8 => (0usize..6).prop_map(Happens::Request),
        1 => "[ -~]{0,60}".prop_map(Happens::Hostile),
    ]
}

proptest! {
    #[test]
    fn a_client_stays_with_its_version_as_long_as_new_clients_could_come_there(
        story in prop::collection::vec(happens(), 1..80),
    ) {
        let mut model = Model::new(&[vec![1, 1], vec![1, 1], vec![1]]);
        let mut clients: Vec<Option<String>> = vec![None; 6];
        for happens in story {
            match happens {
                Happens::Weights(weights) => model.weigh(&weights),
                Happens::Readiness(replica, ready) => model.set_ready(replica, ready),
                Happens::Request(client) => {
                    let had = clients[client].clone();
                    let is_anybody_open = ["v0", "v1", "v2"].iter().any(|v| model.is_open(v));
                    let Some((version, kept)) = model.ask(had.as_deref()) else {
                        prop_assert!(!is_anybody_open);
                        continue;
                    };
                    prop_assert!(model.is_open(&version), "{version} gets no requests");
                    if let Some(was) = had.as_deref().and_then(|had| had.strip_prefix("slipway=s-")) {
                        prop_assert!(was == version || !model.is_open(was), "moved from {was} to {version}");
                    }
                    prop_assert_eq!(kept.as_ref(), Some(&format!("slipway=s-{version}")));
                    clients[client] = kept;
                }
                Happens::Hostile(cookie) => {
                    if let Some((version, _)) = model.ask(Some(&cookie)) {
                        prop_assert!(model.is_open(&version));
                    }
                }
            }
        }
    }

    /// Whoever has a session uses no turn of those that have none.
    #[test]
    fn new_clients_are_split_by_the_weights_whatever_the_others_do(
        weights in prop::collection::vec(1u32..50, 2..4),
        old in prop::collection::vec((0usize..4, 0usize..5), 400),
    ) {
        let model = Model::new(&weights.iter().map(|weight| vec![*weight]).collect::<Vec<_>>());
        let total: u32 = weights.iter().sum();
        let mut served = vec![0u32; weights.len()];
        for (_, (session, requests)) in (0..total).zip(&old) {
            for _ in 0..*requests {
                let had = format!("slipway=s-v{}", session % weights.len());
                let (version, kept) = model.ask(Some(&had)).unwrap();
                prop_assert_eq!(kept, Some(had));
                prop_assert_eq!(version, format!("v{}", session % weights.len()));
            }
            let (version, _) = model.ask(None).unwrap();
            served[version[1..].parse::<usize>().unwrap()] += 1;
        }
        prop_assert_eq!(served, weights);
    }
}

#[test]
fn sessions_spread_over_the_replicas_of_their_version_by_weight() {
    let model = Model::new(&[vec![1], vec![30, 10]]);
    let mut served = [0; 3];
    for _ in 0..400 {
        let headers = with_cookie(Some("a=b; slipway=s-v1"));
        let choice = model.route.choose(&headers, &[]).unwrap();
        assert!(choice.cookie.is_none());
        let index = |backend: &Arc<Backend>| {
            model
                .backends
                .iter()
                .position(|b| Arc::ptr_eq(b, backend))
                .unwrap()
        };
        served[index(&choice.backend)] += 1;
    }
    assert_eq!(served, [0, 300, 100]);
}

#[test]
fn a_client_is_told_how_long_it_stays_and_no_more_than_needed() {
    let model = Model::new(&[vec![1]]);
    let cookie = model.route.choose(&HeaderMap::new(), &[]).unwrap().cookie;
    let text = "slipway=s-v0; Path=/; HttpOnly; SameSite=Lax; Max-Age=60";
    assert_eq!(cookie.unwrap(), text);
}

#[test]
fn clients_do_not_stay_with_what_is_in_no_session() {
    let mut model = Model::new(&[vec![1], vec![1]]);
    let sticky = model.spec.sticky.as_mut().unwrap();
    sticky.sessions.retain(|session| session.value == "s-v0");
    model.remake();
    let clients: Vec<_> = (0..4)
        .map(|_| model.ask(Some("slipway=s-v1")).unwrap())
        .collect();
    for (version, kept) in &clients {
        let cookie = if version == "v0" {
            "slipway=s-v0"
        } else {
            "slipway=s-v1"
        };
        assert_eq!(kept.as_deref(), Some(cookie));
    }
    assert_eq!(
        clients
            .iter()
            .filter(|(version, _)| version == "v0")
            .count(),
        2
    );
}

/// Stable has all the weight; requests with a mark go to the new version.
fn with_testers() -> Model {
    let mut model = Model::new(&[vec![1], vec![0, 0]]);
    let (name, value) = ("X-Canary".to_owned(), "always".to_owned());
    let backends: Vec<String> = vec!["v1-0".into(), "v1-1".into()];
    let on = |when: fn(Pair) -> Mark, name: &str| Match {
        when: when(Pair {
            name: name.to_owned(),
            value: value.clone(),
        }),
        backends: backends.clone(),
    };
    model.spec.matches = vec![on(Mark::Header, &name), on(Mark::Cookie, "canary")];
    model.remake();
    model
}

#[test]
fn marked_requests_go_to_a_version_without_weight_and_have_no_session() {
    let model = with_testers();
    let mut both = marked("x-canary", "always");
    both.append(header::COOKIE, HeaderValue::from_static("slipway=s-v0"));
    for headers in [
        marked("x-canary", "always"),
        with_cookie(Some("slipway=s-v0; canary=always")),
        both,
    ] {
        let choices = [0, 1].map(|_| model.route.choose(&headers, &[]).unwrap());
        let mut names = choices.map(|choice| {
            assert!(choice.cookie.is_none());
            choice.backend.spec.name.clone()
        });
        names.sort();
        assert_eq!(names, ["v1-0", "v1-1"]);
    }
}

#[test]
fn other_values_and_forged_cookies_do_not_lead_to_a_version_without_weight() {
    let model = with_testers();
    let huge = format!(
        "canary={}; slipway={}",
        "always".repeat(9_000),
        "s-v1".repeat(9_000)
    );
    for headers in [
        marked("x-canary", "Always"),
        marked("x-canary", "always, always"),
        marked("x-canary", ""),
        with_cookie(Some("canary=never; slipway=s-v1")),
        with_cookie(Some(&huge)),
    ] {
        let choice = model.route.choose(&headers, &[]).unwrap();
        assert_eq!(choice.backend.spec.version, "v0", "{headers:?}");
    }
}

#[test]
fn marked_requests_are_as_any_other_while_nothing_of_theirs_is_ready() {
    let model = with_testers();
    let headers = marked("x-canary", "always");
    model.set_ready(1, false);
    let choice = model.route.choose(&headers, &[]).unwrap();
    assert_eq!(choice.backend.spec.name, "v1-1");
    // The one that is left was tried, in vain.
    let choice = model.route.choose(&headers, &[choice.backend]).unwrap();
    assert_eq!(choice.backend.spec.name, "v0-0");
    model.set_ready(2, false);
    let choice = model.route.choose(&headers, &[]).unwrap();
    assert_eq!(choice.backend.spec.name, "v0-0");
    assert!(choice.cookie.is_some(), "so it comes into a session, too");
}
