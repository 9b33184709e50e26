//! Routes that can't split the traffic: nothing is changed, and the reason says what to do.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value as Json, json};

use super::{Street, http_route, routed};
use crate::bench::{Bench, green, red};
use crate::needs_cluster;

/// Deploys the first version; it must be refused before anything is made of it, and in its preview.
async fn refusal(street: Street, router: &str) -> Result<String> {
    let bench = street.bench;
    let one = bench.server("one").await?;
    let deploy = routed("10%", router);
    let origin = bench.made("1.0.0", &one, &deploy, None).await?;
    let preview = bench.preview("1.0.0", &one, &origin).await;
    let foretold = preview.expect_err("it would be refused");
    let first = bench.deploy("1.0.0", &one, &deploy).await?;
    let failure = red(bench.outcome(&first).await?);
    let words = foretold.message();
    assert!(failure.reason.contains(words), "{failure:?}, {words}");
    assert_eq!(bench.cluster.names::<Deployment>().await?, [""; 0]);
    bench.finish().await?;
    Ok(failure.reason)
}

fn route_to(backends: Json) -> Json {
    let mut route = http_route(
        "gateway.networking.k8s.io/v1",
        &json!({ "name": "outside" }),
    );
    route["spec"]["rules"][1]["backendRefs"] = backends;
    route
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_missing_is_named() -> Result<()> {
    needs_cluster!();
    let street = Street::with("gateway-api", &[]).await?;
    let namespace = street.bench.cluster.namespace.clone();
    let reason = refusal(street, "gateway_api: { route: front }").await?;
    let words = format!("there is no HTTPRoute front in {namespace}; create it");
    assert!(reason.contains(&words), "{reason}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_does_not_lead_to_both_versions_is_refused_with_what_it_leads_to() -> Result<()>
{
    needs_cluster!();
    let route = route_to(json!([{ "name": "shop-stable", "port": 8080 }]));
    let street = Street::with("gateway-api", &[route]).await?;
    let reason = refusal(street, "gateway_api: { route: front }").await?;
    let words =
        "leads to both shop-stable and shop-canary; those that there are lead to docs, shop-stable";
    assert!(reason.contains(words), "{reason}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_make_no_sense_are_refused() -> Result<()> {
    needs_cluster!();
    let backend = |name: &str, weight: u64| json!({ "name": name, "port": 8080, "weight": weight });
    let zero = route_to(json!([
        backend("shop-stable", 0),
        backend("shop-canary", 0)
    ]));
    let street = Street::with("gateway-api", &[zero]).await?;
    let reason = refusal(street, "gateway_api: { route: front }").await?;
    assert!(
        reason.contains("HTTPRoute front, rule 2") && reason.contains("write 100 and 0"),
        "{reason}"
    );

    let to = |host: &str, weight: u64| json!({ "destination": { "host": host }, "weight": weight });
    let much = super::virtual_service(
        &json!([{ "route": [to("shop-stable", 90), to("shop-canary", 20)] }]),
    );
    let street = Street::with("istio", &[much]).await?;
    let reason = refusal(street, "istio: { virtual_service: front }").await?;
    assert!(reason.contains("are 110, which must be 100"), "{reason}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_routes_must_be_named() -> Result<()> {
    needs_cluster!();
    let to = |host: &str, weight: u64| json!({ "destination": { "host": host }, "weight": weight });
    let primary =
        json!({ "name": "primary", "route": [to("shop-stable", 100), to("shop-canary", 0)] });
    let http = json!([{ "name": "docs", "route": [to("docs", 100)] }, primary]);
    for (router, words) in [
        (
            "istio: { virtual_service: front }",
            "has 2 HTTP routes (docs, primary); name those that split the traffic with `routes`",
        ),
        (
            "istio: { virtual_service: front, routes: [other] }",
            "has no HTTP route \"other\"; it has docs, primary",
        ),
    ] {
        let street = Street::with("istio", &[super::virtual_service(&http)]).await?;
        let reason = refusal(street, router).await?;
        assert!(reason.contains(words), "{reason}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_goes_away_ends_the_rollout_and_nobody_is_left_behind() -> Result<()> {
    needs_cluster!();
    let route = http_route(
        "gateway.networking.k8s.io/v1",
        &json!({ "name": "outside" }),
    );
    let street = Street::with("gateway-api", &[route]).await?;
    let deploy = routed("10%", "gateway_api: { route: front }");
    let one = street.bench.server("one").await?;
    let first = street.bench.deploy("1.0.0", &one, &deploy).await?;
    green(&street.bench.outcome(&first).await?);
    let second = street.canary("two", &deploy).await?;
    street.routes.delete("front", &Default::default()).await?;
    let failure = red(street.bench.outcome(&second).await?);
    assert!(
        failure.reason.contains("there is no HTTPRoute front"),
        "{failure:?}"
    );
    assert_eq!(street.bench.cluster.versions().await?, ["1.0.0"; 2]);
    let names = street.bench.cluster.names::<Deployment>().await?;
    assert_eq!(names.len(), 1, "{names:?}");
    street.bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_the_kind_of_route_is_told_what_to_install() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    let without =
        crate::without::Without::start(&bench.cluster, "gateway.networking.k8s.io").await?;
    let path = bench.file("kubeconfig");
    std::fs::write(&path, without.kubeconfig().to_string())?;
    bench.target().kubeconfig = Some(format!("file:{}", path.display()).parse()?);
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let deploy = routed("10%", "gateway_api: { route: front }");
    let first = bench.deploy("1.0.0", &one, &deploy).await?;
    let failure = red(bench.outcome(&first).await?);
    for words in [
        "the cluster knows no HTTPRoute of gateway.networking.k8s.io",
        "install the CRDs of the Gateway API",
    ] {
        assert!(failure.reason.contains(words), "{failure:?}");
    }
    bench.finish().await
}
