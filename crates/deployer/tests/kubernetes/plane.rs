//! A small data plane in place of a router's controller: it reads the route, the Services or subsets that it leads to
//! and their pods again and again, and lets each request go where they say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::ApiResource;
use serde_json::Value as Json;
use tokio::task::JoinSet;

use crate::bench::eventually;
use crate::cluster::Cluster;

/// How often it looks.
const PACE: Duration = Duration::from_millis(100);
const PORT: u16 = 8080;

/// The data plane of one namespace. Dropping it ends it.
pub(crate) struct Plane {
    pub(crate) address: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    routes: Api<DynamicObject>,
    rules: Option<Api<DynamicObject>>,
    services: Api<Service>,
    pods: Api<Pod>,
    /// What matches most closely comes first.
    table: RwLock<Vec<Rule>>,
    http: reqwest::Client,
    requests: AtomicU64,
    /// Answers since the count began, by their body.
    answers: Mutex<BTreeMap<String, u64>>,
}

struct Rule {
    /// The headers that a request must have.
    headers: Vec<(String, String)>,
    targets: Vec<Target>,
}

struct Target {
    weight: u64,
    pods: Vec<String>,
}

impl Plane {
    /// Begins to obey the routes of a kind.
    pub(crate) async fn start(cluster: &Cluster, routes: &ApiResource) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dynamic =
            |resource| Api::namespaced_with(cluster.client.clone(), &cluster.namespace, resource);
        let rules = (routes.kind == "VirtualService").then(|| ApiResource {
            kind: "DestinationRule".to_owned(),
            plural: "destinationrules".to_owned(),
            ..routes.clone()
        });
        let shared = Arc::new(Shared {
            routes: dynamic(routes),
            rules: rules.as_ref().map(dynamic),
            services: cluster.of(),
            pods: cluster.of(),
            table: RwLock::default(),
            http: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .timeout(Duration::from_secs(10))
                .build()?,
            requests: AtomicU64::new(0),
            answers: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}/", listener.local_addr()?);
        let app = Router::new().fallback(pass).with_state(shared.clone());
        let (mut tasks, watched) = (JoinSet::new(), shared.clone());
        tasks.spawn(async { axum::serve(listener, app).await.expect("it serves") });
        tasks.spawn(async move {
            loop {
                // What can't be read stays as it was, as with a real one.
                if let Ok(table) = watched.read().await {
                    *watched.table.write().expect("no panic") = table;
                }
                tokio::time::sleep(PACE).await;
            }
        });
        Ok(Self {
            address,
            shared,
            _tasks: tasks,
        })
    }

    /// Who answers all the requests of a moment, by body. One load's part of them alone may follow the beat of another.
    pub(crate) async fn answers_of_a_moment(&self) -> BTreeMap<String, u64> {
        self.shared.answers.lock().expect("no panic").clear();
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.shared.answers.lock().expect("no panic").clone()
    }

    /// The answer to a request with a header.
    pub(crate) async fn answer_with(&self, name: &str, value: &str) -> Result<String> {
        let request = self.shared.http.get(&self.address).header(name, value);
        Ok(request.send().await?.text().await?.trim().to_owned())
    }

    /// Waits until requests get answers.
    pub(crate) async fn answers(&self) -> Result<()> {
        eventually("the route answers", async || {
            let answer = self.shared.http.get(&self.address).send().await?;
            Ok(answer.status().is_success().then_some(()))
        })
        .await
    }
}

impl Shared {
    async fn read(&self) -> Result<Vec<Rule>> {
        let all = ListParams::default();
        let pods = self.pods.list(&all).await?.items;
        let services = self.services.list(&all).await?.items;
        let subsets = match &self.rules {
            Some(rules) => rules.list(&all).await?.items,
            None => Vec::new(),
        };
        let routes = self.routes.list(&all).await?.items;
        let mut table = Vec::new();
        for route in routes.iter().map(|route| &route.data["spec"]) {
            for rule in array(&route["rules"]) {
                let targets: Vec<Target> = array(&rule["backendRefs"])
                    .map(|backend| Target {
                        weight: backend["weight"].as_u64().unwrap_or(1),
                        pods: addresses(&pods, service(&services, &backend["name"])),
                    })
                    .collect();
                table.extend(rules(&rule["matches"], targets));
            }
            for rule in array(&route["http"]) {
                // The only destination needs no weight.
                let alone = u64::from(array(&rule["route"]).count() == 1);
                let targets: Vec<Target> = array(&rule["route"])
                    .map(|backend| {
                        let to = &backend["destination"];
                        let mut labels = service(&services, &to["host"]);
                        let named = subsets
                            .iter()
                            .flat_map(|rule| array(&rule.data["spec"]["subsets"]));
                        for subset in named.filter(|subset| subset["name"] == to["subset"]) {
                            labels.iter_mut().for_each(|labels| {
                                labels.extend(texts(&subset["labels"]));
                            });
                        }
                        Target {
                            weight: backend["weight"].as_u64().unwrap_or(alone),
                            pods: addresses(&pods, labels),
                        }
                    })
                    .collect();
                table.extend(rules(&rule["match"], targets));
            }
        }
        // Those of a VirtualService are in order; with as many headers in each the order stays.
        table.sort_by_key(|rule| std::cmp::Reverse(rule.headers.len()));
        Ok(table)
    }

    /// Where the next request goes.
    fn pick(&self, headers: &HeaderMap) -> Option<String> {
        let table = self.table.read().expect("no panic");
        let has = |(name, value): &(String, String)| {
            headers.get(name).is_some_and(|own| own == value.as_str())
        };
        let rule = table.iter().find(|rule| rule.headers.iter().all(has))?;
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let all: u64 = rule.targets.iter().map(|target| target.weight).sum();
        // Each target's turns are spread evenly: 7 and 100 have no common divisor.
        let mut turn = (number * 7) % all.max(1);
        for target in rule.targets.iter().filter(|target| target.weight > 0) {
            if turn < target.weight {
                let index = usize::try_from(number / all).ok()? % target.pods.len().max(1);
                return target.pods.get(index).cloned();
            }
            turn -= target.weight;
        }
        None
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let answer = |status: StatusCode, body: Vec<u8>| {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response
    };
    let Some(pod) = shared.pick(request.headers()) else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, b"no pod".to_vec());
    };
    let url = format!("http://{pod}:{PORT}{}", request.uri().path());
    let passed = async {
        let response = shared.http.get(url).send().await?;
        let status = response.status();
        anyhow::Ok((status, response.bytes().await?))
    };
    match passed.await {
        Ok((status, body)) => {
            let text = String::from_utf8_lossy(&body).trim().to_owned();
            let mut answers = shared.answers.lock().expect("no panic");
            *answers.entry(text).or_default() += 1;
            answer(status, body.to_vec())
        }
        Err(error) => answer(StatusCode::BAD_GATEWAY, error.to_string().into_bytes()),
    }
}

/// A rule for each of its matches; without one it takes everything.
fn rules(matches: &Json, targets: Vec<Target>) -> Vec<Rule> {
    let headers = |one: &Json| -> Vec<(String, String)> {
        let listed = array(&one["headers"]).map(|header| (&header["name"], &header["value"]));
        let listed = listed.filter_map(|(name, value)| Some((name.as_str()?, value.as_str()?)));
        let exact = |value: &Json| value["exact"].as_str().map(str::to_owned);
        let named = one["headers"].as_object().into_iter().flatten();
        listed
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .chain(named.filter_map(|(name, value)| Some((name.clone(), exact(value)?))))
            .collect()
    };
    let headers = match array(matches).next() {
        Some(one) => headers(one),
        None => Vec::new(),
    };
    vec![Rule { headers, targets }]
}

fn array(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Json) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    let text = |(key, value): (&String, &Json)| Some((key.clone(), value.as_str()?.to_owned()));
    entries.filter_map(text).collect()
}

/// The selector of a Service.
fn service(all: &[Service], name: &Json) -> Option<BTreeMap<String, String>> {
    let name = name.as_str()?.split('.').next()?;
    let found = all.iter().find(|service| service.name_any() == name)?;
    found.spec.as_ref()?.selector.clone()
}

/// The pods that a selector selects and that take requests.
fn addresses(pods: &[Pod], selector: Option<BTreeMap<String, String>>) -> Vec<String> {
    let Some(selector) = selector else {
        return Vec::new();
    };
    let is_selected = |pod: &&Pod| {
        let labels = pod.labels();
        selector.iter().all(|(k, v)| labels.get(k) == Some(v))
    };
    let ready = |pod: &&Pod| {
        let conditions = pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        pod.metadata.deletion_timestamp.is_none()
            && conditions.any(|one| one.type_ == "Ready" && one.status == "True")
    };
    let address = |pod: &Pod| pod.status.as_ref()?.pod_ip.clone();
    pods.iter()
        .filter(is_selected)
        .filter(ready)
        .filter_map(address)
        .collect()
}

/// The kinds of routes, with their definitions brought into the cluster. They stay: other tests use them, too.
pub(crate) async fn kind(cluster: &Cluster, of: &str) -> Result<ApiResource> {
    let (file, group, version, kind, plural) = match of {
        "gateway-api" => (
            include_str!("crds/gateway-api.yaml"),
            "gateway.networking.k8s.io",
            "v1",
            "HTTPRoute",
            "httproutes",
        ),
        "linkerd" => (
            include_str!("crds/linkerd.yaml"),
            "policy.linkerd.io",
            "v1beta3",
            "HTTPRoute",
            "httproutes",
        ),
        _ => (
            include_str!("crds/istio.yaml"),
            "networking.istio.io",
            "v1",
            "VirtualService",
            "virtualservices",
        ),
    };
    for document in file.split("\n---\n") {
        let definition: Json = serde_saphyr::from_str(document).context("a definition")?;
        cluster.define(&definition).await?;
    }
    Ok(ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    })
}
