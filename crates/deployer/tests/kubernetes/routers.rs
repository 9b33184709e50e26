//! Canaries whose share a router measures out: real routes on the API server, and a small data plane that obeys them.

mod bad;
mod own;

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::ids::RunId;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::discovery::ApiResource;
use serde_json::{Value as Json, json};
use testkit::load::Load;

use crate::bench::{Bench, eventually, green, red};
use crate::needs_cluster;
use crate::plane::{Plane, kind};

/// The `deploy` section of a service whose canary a router measures out: a share until a person lets it go on.
pub(crate) fn routed(share: &str, router: &str) -> String {
    format!(
        "{{ replicas: 2, ready: {{ http: /healthz }}, drain: 1s, deadline: 60s, strategy: {{ canary: \
         {{ steps: [{share}, pause, 100%], router: {{ {router} }} }} }} }}"
    )
}

const GATEWAY_API: &str = "gateway_api: { route: front }";
const LINKERD: &str = "linkerd: { route: front }";
const ISTIO: &str = "istio: { virtual_service: front, routes: [primary] }";
const SUBSETS: &str = "istio: { virtual_service: front, destination_rule: front }";

/// An HTTPRoute with a rule of somebody else's before the one that splits the traffic.
pub(crate) fn http_route(api_version: &str, parent: &Json) -> Json {
    json!({
        "apiVersion": api_version, "kind": "HTTPRoute", "metadata": { "name": "front" },
        "spec": { "parentRefs": [parent], "rules": [
            {
                "matches": [{ "headers": [{ "name": "x-docs", "value": "yes" }] }],
                "backendRefs": [{ "name": "docs", "port": 80, "weight": 7 }],
            },
            { "backendRefs": [
                { "name": "shop-stable", "port": 8080, "weight": 100 },
                { "name": "shop-canary", "port": 8080, "weight": 0 },
            ] },
        ] },
    })
}

fn gateway() -> Json {
    http_route(
        "gateway.networking.k8s.io/v1",
        &json!({ "name": "outside" }),
    )
}

fn linkerd() -> Json {
    let parent = json!({ "group": "core", "kind": "Service", "name": "shop", "port": 8080 });
    http_route("policy.linkerd.io/v1beta3", &parent)
}

fn virtual_service(http: &Json) -> Json {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": { "name": "front" },
        "spec": { "hosts": ["shop"], "http": http },
    })
}

/// A namespace with a route, the kind of the route, and what obeys it.
pub(crate) struct Street {
    pub(crate) bench: Bench,
    pub(crate) routes: Api<DynamicObject>,
    pub(crate) kind: ApiResource,
}

impl Street {
    pub(crate) async fn with(of: &str, objects: &[Json]) -> Result<Self> {
        let mut bench = Bench::start().await?;
        bench.cluster.create_namespace().await?;
        let kind = kind(&bench.cluster, of).await?;
        for object in objects {
            bench.cluster.apply(object).await?;
        }
        bench.start_deployer()?;
        let (client, namespace) = (bench.cluster.client.clone(), &bench.cluster.namespace);
        let routes = Api::namespaced_with(client, namespace, &kind);
        Ok(Self {
            bench,
            routes,
            kind,
        })
    }

    /// Brings the first version in, and waits until it answers behind the route.
    async fn open(&self, deploy: &str) -> Result<Plane> {
        let one = self.bench.server("one").await?;
        let first = self.bench.deploy("1.0.0", &one, deploy).await?;
        green(&self.bench.outcome(&first).await?);
        let plane = Plane::start(&self.bench.cluster, &self.kind).await?;
        plane.answers().await?;
        Ok(plane)
    }

    async fn canary(&self, body: &str, deploy: &str) -> Result<RunId> {
        let image = self.bench.server(body).await?;
        let run = self.bench.deploy("1.1.0", &image, deploy).await?;
        self.bench.is_paused(&run).await?;
        Ok(run)
    }

    pub(crate) async fn spec(&self) -> Result<Json> {
        Ok(self.routes.get("front").await?.data["spec"].clone())
    }

    /// The weights of the two backends in the list that a JSON pointer leads to.
    pub(crate) async fn weights(&self, list: &str) -> Result<(u64, u64)> {
        let spec = self.spec().await?;
        let weight = |index: usize| spec.pointer(&format!("{list}/{index}/weight"))?.as_u64();
        Ok((
            weight(0).context("no weight")?,
            weight(1).context("no weight")?,
        ))
    }

    /// The sets that the two Services lead to.
    async fn sets(&self) -> Result<[Option<String>; 2]> {
        let services: Api<Service> = self.bench.cluster.of();
        let set = async |name: &str| -> Result<Option<String>> {
            let spec = services.get(name).await?.spec.context("no spec")?;
            Ok(spec
                .selector
                .and_then(|labels| labels.get("slipway.set").cloned()))
        };
        Ok([set("shop-stable").await?, set("shop-canary").await?])
    }
}

/// The part of the requests of a moment that the canary answers.
async fn share(plane: &Plane) -> Result<f64> {
    let load = Load::start(plane.address.clone(), 2, Some(200.0));
    let answers = plane.answers_of_a_moment().await;
    load.stop().await.assert_no_failures();
    let all: u64 = answers.values().sum();
    let two = answers.get("two").copied().unwrap_or_default();
    anyhow::ensure!(all > 100, "hardly anybody asked: {answers:?}");
    Ok(two as f64 / all as f64)
}

const RULE: &str = "/rules/1/backendRefs";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_exactly_its_share_by_the_gateway_api_and_then_all() -> Result<()> {
    needs_cluster!();
    let street = Street::with("gateway-api", &[gateway()]).await?;
    let bench = &street.bench;
    let deploy = routed("10%", GATEWAY_API);
    let plane = street.open(&deploy).await?;
    assert_eq!(street.weights(RULE).await?, (100, 0));
    let before = street.spec().await?;
    let [stable, canary] = street.sets().await?;
    assert!(stable.is_some() && stable == canary, "at rest both are one");

    let load = Load::start(plane.address.clone(), 2, Some(100.0));
    let second = street.canary("two", &deploy).await?;
    assert_eq!(street.weights(RULE).await?, (90, 10));
    // Two replicas would be half of the traffic: the share is the route's.
    assert_eq!(bench.cluster.versions().await?.len(), 3);
    let of_two = share(&plane).await?;
    assert!((0.08..0.12).contains(&of_two), "{of_two}");
    let [now, canary] = street.sets().await?;
    assert!(now == stable && canary.is_some() && canary != stable);

    bench.promote(&second, false).await?;
    green(&bench.outcome(&second).await?);
    assert_eq!(street.weights(RULE).await?, (100, 0));
    assert_eq!(street.sets().await?, [canary.clone(), canary]);
    assert_eq!(bench.cluster.versions().await?, ["1.1.0"; 2]);
    eventually("only the new version answers", async || {
        Ok((share(&plane).await? >= 1.0).then_some(()))
    })
    .await?;
    load.stop().await.assert_no_failures();
    let theirs = street.spec().await?;
    assert_eq!(theirs, before, "nothing but weights was touched");
    assert_eq!(bench.live().await?[0].note, "");
    let log = bench.log(&second).await?;
    assert!(log.contains("10% of the traffic goes to 1.1.0"), "{log}");
    street.bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_by_linkerd_is_aborted_under_load_without_a_failed_request() -> Result<()> {
    needs_cluster!();
    let street = Street::with("linkerd", &[linkerd()]).await?;
    let bench = &street.bench;
    let deploy = routed("60%", LINKERD);
    let plane = street.open(&deploy).await?;
    let load = Load::start(plane.address.clone(), 2, Some(100.0));
    let second = street.canary("two", &deploy).await?;
    assert_eq!(street.weights(RULE).await?, (40, 60));
    let of_two = share(&plane).await?;
    assert!((0.57..0.63).contains(&of_two), "{of_two}");

    bench.abort(&second, "the colour is wrong").await?;
    let failure = red(bench.outcome(&second).await?);
    assert!(
        failure.reason.contains("the colour is wrong"),
        "{failure:?}"
    );
    assert_eq!(street.weights(RULE).await?, (100, 0));
    let [stable, canary] = street.sets().await?;
    assert!(stable.is_some() && stable == canary);
    assert_eq!(bench.cluster.versions().await?, ["1.0.0"; 2]);
    assert_eq!(share(&plane).await?, 0.0);
    load.stop().await.assert_no_failures();
    street.bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_behind_istio_gets_no_traffic_and_other_routes_stay() -> Result<()> {
    needs_cluster!();
    let to = |host: &str, weight: u64| json!({ "destination": { "host": host }, "weight": weight });
    let http = json!([
        {
            "name": "docs",
            "match": [{ "headers": { "x-docs": { "exact": "yes" } } }],
            "route": [to("docs", 50), to("docs-new", 50)],
        },
        { "name": "primary", "route": [to("shop-stable", 100), to("shop-canary", 0)] },
    ]);
    let street = Street::with("istio", &[virtual_service(&http)]).await?;
    let bench = &street.bench;
    let deploy = routed("25%", ISTIO);
    let plane = street.open(&deploy).await?;
    let load = Load::start(plane.address.clone(), 2, Some(100.0));
    let bad = bench.image("two", "echo out of luck >&2; exit 3").await?;
    let second = bench.deploy("1.1.0", &bad, &deploy).await?;
    let failure = red(bench.outcome(&second).await?);
    assert!(failure.reason.contains("exit code 3"), "{failure:?}");
    assert!(
        failure.last_lines.iter().any(|l| l.contains("out of luck")),
        "{failure:?}"
    );
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(!report.by_body.contains_key("two"), "{:?}", report.by_body);
    assert_eq!(street.spec().await?["http"], http);

    // The next one is good.
    let two = bench.server("two").await?;
    let third = bench.deploy("1.2.0", &two, &deploy).await?;
    bench.is_paused(&third).await?;
    assert_eq!(street.weights("/http/1/route").await?, (75, 25));
    let of_two = share(&plane).await?;
    assert!((0.23..0.27).contains(&of_two), "{of_two}");
    bench.promote(&third, true).await?;
    green(&bench.outcome(&third).await?);
    assert_eq!(street.spec().await?["http"], http);
    street.bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn subsets_of_a_destination_rule_follow_the_sets_of_pods() -> Result<()> {
    needs_cluster!();
    let to = |subset: &str, weight: u64| json!({ "destination": { "host": "shop", "subset": subset }, "weight": weight });
    let rule = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": { "name": "front" },
        "spec": { "host": "shop", "subsets": [
            { "name": "canary", "labels": { "app.kubernetes.io/name": "shop" } },
            { "name": "stable" },
        ] },
    });
    let route = virtual_service(&json!([{ "route": [to("stable", 100), to("canary", 0)] }]));
    let street = Street::with("istio", &[rule, route]).await?;
    let bench = &street.bench;
    let deploy = routed("40%", SUBSETS);
    let plane = street.open(&deploy).await?;
    let services = bench.cluster.names::<Service>().await?;
    assert_eq!(services, ["shop"], "there is one Service");
    let load = Load::start(plane.address.clone(), 2, Some(100.0));
    let second = street.canary("two", &deploy).await?;
    let of_two = share(&plane).await?;
    assert!((0.37..0.43).contains(&of_two), "{of_two}");
    bench.promote(&second, false).await?;
    green(&bench.outcome(&second).await?);
    assert_eq!(street.weights("/http/0/route").await?, (100, 0));
    assert_eq!(share(&plane).await?, 1.0);
    load.stop().await.assert_no_failures();
    street.bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_meanwhile_stays_and_weights_come_back() -> Result<()> {
    needs_cluster!();
    let street = Street::with("gateway-api", &[gateway()]).await?;
    let bench = &street.bench;
    let deploy = routed("30%", GATEWAY_API);
    let plane = street.open(&deploy).await?;
    let load = Load::start(plane.address.clone(), 2, Some(50.0));
    let editor = async |count: &std::cell::Cell<u32>| -> Result<()> {
        loop {
            count.set(count.get() + 1);
            let text = count.get().to_string();
            let patch = json!({ "metadata": { "annotations": { "edits": text } },
                                "spec": { "hostnames": [format!("h{text}.example.org")] } });
            let params = PatchParams::default();
            street
                .routes
                .patch("front", &params, &Patch::Merge(patch))
                .await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let edits = std::cell::Cell::new(0);
    let second = tokio::select! {
        edited = editor(&edits) => edited.map(|()| unreachable!("it has no end"))?,
        canary = street.canary("two", &deploy) => canary?,
    };
    assert!(edits.get() > 10);
    let spec = street.spec().await?;
    let last = format!("h{}.example.org", edits.get());
    assert_eq!(spec["hostnames"], json!([last]));
    assert_eq!(street.weights(RULE).await?, (70, 30));

    // Weights that somebody sets by hand are not the rollout's.
    let mut rules = spec["rules"].clone();
    rules[1]["backendRefs"][0]["weight"] = json!(0);
    rules[1]["backendRefs"][1]["weight"] = json!(100);
    let patch = Patch::Merge(json!({ "spec": { "rules": rules } }));
    street
        .routes
        .patch("front", &PatchParams::default(), &patch)
        .await?;
    eventually("the share is what it was", async || {
        Ok((street.weights(RULE).await? == (70, 30)).then_some(()))
    })
    .await?;
    bench.is_paused(&second).await?;
    bench.promote(&second, false).await?;
    green(&bench.outcome(&second).await?);
    assert_eq!(street.weights(RULE).await?, (100, 0));
    load.stop().await.assert_no_failures();
    street.bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_that_is_killed_goes_on_with_the_share_that_there_was() -> Result<()> {
    needs_cluster!();
    let mut street = Street::with("gateway-api", &[gateway()]).await?;
    let deploy = routed("50%", GATEWAY_API);
    let plane = street.open(&deploy).await?;
    let load = Load::start(plane.address.clone(), 2, Some(100.0));
    let second = street.canary("two", &deploy).await?;
    street.bench.kill_deployer().await?;
    street.bench.promote(&second, false).await?;
    street.bench.start_deployer()?;
    eventually("all the traffic goes to the new version", async || {
        Ok((street.weights(RULE).await? == (0, 100)).then_some(()))
    })
    .await?;
    street.bench.kill_deployer().await?;
    street.bench.start_deployer()?;
    green(&street.bench.finally(&second).await?);
    assert_eq!(street.weights(RULE).await?, (100, 0));
    assert_eq!(share(&plane).await?, 1.0);
    load.stop().await.assert_no_failures();
    street.bench.finish().await
}

/// Testers reach a canary of no share at all, nobody else does, and nothing is left of that.
async fn testers_come_first(of: &str, route: &Json, router: &str) -> Result<()> {
    let street = Street::with(of, std::slice::from_ref(route)).await?;
    let bench = &street.bench;
    let deploy =
        routed("0%", router).replace("router:", "testers: { header: x-canary=always }, router:");
    let plane = street.open(&deploy).await?;
    let before = street.spec().await?;
    let load = Load::start(plane.address.clone(), 2, Some(100.0));
    let second = street.canary("two", &deploy).await?;
    let reached = async || {
        let answer = plane.answer_with("X-Canary", "always").await?;
        Ok((answer == "two").then_some(()))
    };
    eventually("testers reach the canary", reached).await?;
    assert_eq!(plane.answer_with("X-Canary", "never").await?, "one");
    assert_eq!(plane.answer_with("x-other", "always").await?, "one");
    bench.abort(&second, "testers did not like it").await?;
    red(bench.outcome(&second).await?);
    eventually("testers are as all others", async || {
        let answer = plane.answer_with("x-canary", "always").await?;
        Ok((answer == "one").then_some(()))
    })
    .await?;
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(!report.by_body.contains_key("two"), "{:?}", report.by_body);
    assert_eq!(street.spec().await?, before);

    let two = bench.server("two").await?;
    let third = bench.deploy("1.2.0", &two, &deploy).await?;
    bench.is_paused(&third).await?;
    eventually("testers reach the next canary", reached).await?;
    bench.promote(&third, false).await?;
    green(&bench.outcome(&third).await?);
    assert_eq!(street.spec().await?, before);
    assert_eq!(
        street
            .routes
            .list(&ListParams::default())
            .await?
            .items
            .len(),
        1
    );
    street.bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_reach_a_canary_before_others_by_a_second_http_route() -> Result<()> {
    needs_cluster!();
    testers_come_first("gateway-api", &gateway(), GATEWAY_API).await
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_reach_a_canary_before_others_by_rules_of_a_virtual_service() -> Result<()> {
    needs_cluster!();
    let to = |host: &str, weight: u64| json!({ "destination": { "host": host }, "weight": weight });
    let http =
        json!([{ "name": "primary", "route": [to("shop-stable", 100), to("shop-canary", 0)] }]);
    testers_come_first("istio", &virtual_service(&http), ISTIO).await
}
