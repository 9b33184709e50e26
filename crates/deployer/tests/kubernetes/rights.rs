//! What the deployer must be allowed to do, and what it says where it may not.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::stage::Outcome;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use serde_json::{Value as Json, json};

use crate::bench::{Bench, green};
use crate::needs_cluster;
use crate::plane::kind;
use crate::routers::{http_route, routed};
use crate::runs::READY;

/// The Role that is documented.
const RBAC: &str = include_str!("../../../../deploy/kubernetes/rbac.yaml");

impl Bench {
    /// Lets the deployer be a ServiceAccount of the namespace, and starts it.
    pub(crate) async fn as_service_account(&mut self, name: &str) -> Result<()> {
        let token = self.token_of(name).await?;
        self.with_token(&token)
    }

    async fn token_of(&self, name: &str) -> Result<String> {
        let accounts = self.cluster.of::<ServiceAccount>();
        let request: TokenRequest = serde_json::from_value(json!({ "spec": { "audiences": [] } }))?;
        let created = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await?;
        Ok(created.status.context("no token")?.token)
    }

    fn with_token(&mut self, token: &str) -> Result<()> {
        let mut kubeconfig = serde_json::to_value(&self.cluster.config)?;
        kubeconfig["users"][0]["user"] = json!({ "token": token });
        let path = self.file("kubeconfig");
        std::fs::write(&path, kubeconfig.to_string())?;
        self.target().kubeconfig = Some(format!("file:{}", path.display()).parse()?);
        self.start_deployer()
    }

    /// Applies the documented ServiceAccount, Role and RoleBinding.
    pub(crate) async fn grant(&self) -> Result<()> {
        self.cluster.create_namespace().await?;
        let text = RBAC.replace("namespace: shop", &format!("namespace: {}", self.test));
        for document in text.split("\n---\n") {
            let object: Json = serde_saphyr::from_str(document)?;
            self.cluster.apply(&object).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_role_is_enough() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.grant().await?;
    bench.as_service_account("slipway-deployer").await?;
    let (one, broken) = (
        bench.server("one").await?,
        bench.image("broken", "echo no database; exit 3").await?,
    );
    let first = bench
        .deploy(
            "1.0.0",
            &one,
            "{ replicas: 2, env: { A: a }, ready: { http: /healthz }, drain: 1s, deadline: 100s }",
        )
        .await?;
    green(&bench.outcome(&first).await?);
    let second = bench.deploy("1.1.0", &broken, READY).await?;
    let failure = crate::bench::red(bench.outcome(&second).await?);
    assert!(
        failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );
    assert!(
        failure.last_lines.iter().any(|l| l.contains("no database")),
        "{failure:?}"
    );
    for (version, strategy) in [
        ("1.2.0", "canary: { steps: [50%, 100%] }"),
        ("1.3.0", "blue_green: { monitor: 1s }"),
    ] {
        let two = bench.server(version).await?;
        let deploy = format!("{{ replicas: 2, drain: 1s, strategy: {{ {strategy} }} }}");
        let run = bench.deploy(version, &two, &deploy).await?;
        green(&bench.outcome(&run).await?);
    }
    assert_eq!(bench.live().await?.len(), 1);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rules_for_routers_are_enough() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.grant().await?;
    let routers = RBAC
        .replace("  # - ", "  - ")
        .replace("  #   ", "    ")
        .replace("namespace: shop", &format!("namespace: {}", bench.test));
    let role = routers
        .split("\n---\n")
        .find(|text| text.contains("kind: Role\n"));
    let role: Json = serde_saphyr::from_str(role.context("no Role")?)?;
    assert!(role.to_string().contains("virtualservices"), "{role}");
    bench.cluster.apply(&role).await?;
    kind(&bench.cluster, "gateway-api").await?;
    let route = http_route(
        "gateway.networking.k8s.io/v1",
        &json!({ "name": "outside" }),
    );
    bench.cluster.apply(&route).await?;
    bench.as_service_account("slipway-deployer").await?;
    let deploy = routed("20%", "gateway_api: { route: front }")
        .replace("router:", "testers: { header: a=b }, router:");
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, &deploy).await?;
    green(&bench.outcome(&first).await?);
    let second = bench.deploy("1.1.0", &two, &deploy).await?;
    bench.is_paused(&second).await?;
    bench.promote(&second, false).await?;
    green(&bench.outcome(&second).await?);
    let log = bench.log(&second).await?;
    assert!(log.contains("testers reach 1.1.0"), "{log}");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_without_rights_says_what_it_lacks() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.cluster.create_namespace().await?;
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "nobody" },
    });
    bench.cluster.apply(&account).await?;
    bench.as_service_account("nobody").await?;
    let one = bench.server("one").await?;
    let run = bench.deploy("1.0.0", &one, READY).await?;
    let reason = errored(bench.outcome(&run).await?);
    assert!(reason.contains("the deployer may not do that"), "{reason}");
    assert!(reason.contains("deploy/kubernetes/rbac.yaml"), "{reason}");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expired_are_told_from_a_cluster_that_is_away() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.with_token("long.since.expired")?;
    let one = bench.server("one").await?;
    let run = bench.deploy("1.0.0", &one, READY).await?;
    let reason = errored(bench.outcome(&run).await?);
    assert!(
        reason.contains("does not accept the deployer's credentials"),
        "{reason}"
    );
    bench.finish().await
}

fn errored(outcome: Outcome) -> String {
    match outcome {
        Outcome::Errored { failure, .. } => failure.reason,
        other => panic!("not errored: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_that_the_platform_file_names_is_used() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    let mut kubeconfig = serde_json::to_value(&bench.cluster.config)?;
    let real = kubeconfig["contexts"][0].clone();
    let list = |kubeconfig: &mut Json, name: &str, entry: Json| {
        let entries = kubeconfig[name].as_array_mut();
        entries.expect("a list").push(entry);
    };
    let nowhere = json!({ "name": "nowhere", "cluster": { "server": "https://127.0.0.1:1" } });
    list(&mut kubeconfig, "clusters", nowhere);
    let mut other = real.clone();
    other["name"] = json!("other");
    other["context"]["cluster"] = json!("nowhere");
    list(&mut kubeconfig, "contexts", other);
    kubeconfig["current-context"] = json!("other");
    let path = bench.file("kubeconfig");
    std::fs::write(&path, kubeconfig.to_string())?;
    bench.target().kubeconfig = Some(format!("file:{}", path.display()).parse()?);
    bench.target().context = real["name"].as_str().map(str::to_owned);
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let run = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&run).await?);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_in_the_cluster_needs_no_kubeconfig() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.grant().await?;
    let token = bench.token_of("slipway-deployer").await?;
    let authority = bench.cluster.config.clusters[0].cluster.as_ref();
    let authority = authority.and_then(|c| c.certificate_authority_data.clone());
    let authority = STANDARD.decode(authority.context("no certificate in the kubeconfig")?)?;
    std::fs::write(bench.file("token"), token)?;
    std::fs::write(bench.file("ca.crt"), authority)?;
    std::fs::write(bench.file("namespace"), bench.test.as_str())?;
    bench.target().kubeconfig = None;
    bench.start_deployer_in_pod()?;
    let one = bench.server("one").await?;
    let run = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&run).await?);
    bench.finish().await
}
