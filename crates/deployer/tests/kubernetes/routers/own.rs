//! Routes that the team brings among its own objects: Slipway applies them, and sets their weights.

use anyhow::Result;
use domain::ids::{Digest, RunId};
use domain::run::Kind;
use k8s_openapi::api::core::v1::Service;
use serde_json::json;
use testkit::git::GitRepository;
use testkit::load::Load;

use super::{Street, share};
use crate::bench::{Bench, green, red};
use crate::needs_cluster;
use crate::plane::Plane;
use crate::runs::Wish;

const DEPLOY: &str = "{ manifests: k8s, drain: 1s, deadline: 100s, strategy: { canary: { steps: [20%, pause, 100%], \
                      router: { gateway_api: { route: front } } } } }";

/// A route without weights: half of the requests would go to the canary's Service.
const WEB: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: front }
spec:
  parentRefs: [{ name: outside }]
  hostnames: [first.example.org]
  rules:
  - backendRefs: [{ name: shop-stable, port: 80 }, { name: shop-canary, port: 80 }]
---
apiVersion: v1
kind: Service
metadata: { name: shop-canary }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080, name: own }] }
---
apiVersion: v1
kind: Service
metadata: { name: shop }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: shop
        ports: [{ containerPort: 8080 }]
        readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 }
        lifecycle: { preStop: { exec: { command: [sleep, \"2\"] } } }
";

async fn bring(
    bench: &Bench,
    version: &str,
    digest: &Digest,
    repository: &GitRepository,
) -> Result<RunId> {
    let wish = Wish {
        version,
        digest,
        deploy: DEPLOY,
        kind: Kind::Change,
        repository: Some(repository),
    };
    bench.submit(wish).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_s_own_route_keeps_its_weights_in_a_rollout_and_changes_at_its_end() -> Result<()> {
    needs_cluster!();
    let street = Street::with("gateway-api", &[]).await?;
    let bench = &street.bench;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let repository = GitRepository::with_files(&[("k8s/web.yaml", WEB)])?;
    let list = "/rules/0/backendRefs";
    let first = bring(bench, "1.0.0", &one, &repository).await?;
    green(&bench.outcome(&first).await?);
    assert_eq!(street.weights(list).await?, (100, 0));
    assert_eq!(bench.live().await?[0].note, "");
    let mut services = bench.cluster.names::<Service>().await?;
    services.sort();
    assert_eq!(services, ["shop", "shop-canary", "shop-stable"]);
    let plane = Plane::start(&bench.cluster, &street.kind).await?;
    plane.answers().await?;
    let load = Load::start(plane.address.clone(), 2, Some(100.0));

    let changed = WEB.replace("first.example.org", "second.example.org");
    repository.commit_files(
        &[("k8s/web.yaml", changed.as_str())],
        "fix: Serve another host",
    )?;
    let origin = bench.made("1.1.0", &two, DEPLOY, Some(&repository)).await?;
    let preview = bench.preview("1.1.0", &two, &origin).await?;
    assert!(preview.obstacles.is_empty(), "{:?}", preview.obstacles);
    let mut routes = preview.objects.iter().filter(|o| o.kind == "HTTPRoute");
    let note = routes.next().map_or("", |route| &route.note);
    assert!(note.contains("its weights stay Slipway's"), "{preview:#?}");
    let second = bring(bench, "1.1.0", &two, &repository).await?;
    bench.is_paused(&second).await?;
    assert_eq!(street.weights(list).await?, (80, 20));
    let hosts = async || anyhow::Ok(street.spec().await?["hostnames"].clone());
    assert_eq!(hosts().await?, json!(["first.example.org"]));
    bench.abort(&second, "not today").await?;
    red(bench.outcome(&second).await?);
    assert_eq!(street.weights(list).await?, (100, 0));
    assert_eq!(hosts().await?, json!(["first.example.org"]));
    assert_eq!(bench.live().await?[0].note, "");

    let third = bring(bench, "1.2.0", &two, &repository).await?;
    bench.is_paused(&third).await?;
    let of_two = share(&plane).await?;
    assert!((0.17..0.23).contains(&of_two), "{of_two}");
    bench.promote(&third, false).await?;
    green(&bench.outcome(&third).await?);
    assert_eq!(street.weights(list).await?, (100, 0));
    assert_eq!(hosts().await?, json!(["second.example.org"]));
    assert_eq!(bench.live().await?[0].note, "");
    load.stop().await.assert_no_failures();
    street.bench.finish().await
}
