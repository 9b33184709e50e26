//! What a rollout would change, asked of a real API server.

use std::collections::BTreeMap;

use anyhow::Result;
use domain::ids::{Digest, RunId};
use domain::run::Kind;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use proto::deployer::v1::PreviewDeploymentRequest;
use proto::preview::v1::{ChangeKind, DeploymentPreview, ObjectChange};
use serde_json::json;
use testkit::git::GitRepository;
use tonic::{Code, Status};

use crate::bench::{Bench, SERVICE, green};
use crate::needs_cluster;
use crate::runs::{READY, Wish};

const FIRST: &str = "{ replicas: 2, ready: { http: /healthz }, drain: 1s, deadline: 100s, \
                     env: { LEVEL: debug, KEY: { secret: env:SHOP_SECRET } } }";
const SECOND: &str = "{ replicas: 1, ready: { http: /healthz }, drain: 1s, deadline: 100s, \
                      env: { LEVEL: info, KEY: { secret: env:SHOP_SECRET } } }";

impl Bench {
    /// A run that could be deployed, and is not.
    pub(crate) async fn made(
        &self,
        version: &str,
        digest: &Digest,
        deploy: &str,
        repository: Option<&GitRepository>,
    ) -> Result<RunId> {
        let wish = Wish {
            version,
            digest,
            deploy,
            // No later run waits for it.
            kind: Kind::Proposal {
                number: "1".to_owned(),
            },
            repository,
        };
        self.plan(&wish).await
    }

    pub(crate) async fn preview(
        &self,
        version: &str,
        digest: &Digest,
        origin: &RunId,
    ) -> Result<DeploymentPreview, Status> {
        let service = SERVICE.parse().expect("a name");
        let request = PreviewDeploymentRequest {
            service: SERVICE.to_owned(),
            environment: self.test.to_string(),
            version: version.to_owned(),
            origin_run_id: origin.to_string(),
            repository: self.platform.development_repository(&service),
            image_digest: digest.to_string(),
            ..PreviewDeploymentRequest::default()
        };
        let mut client = self.questions().expect("a client");
        // A deployer that was just started does not listen yet.
        loop {
            match client.preview_deployment(request.clone()).await {
                Err(status) if status.message().contains("transport") => {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                other => return Ok(other?.into_inner()),
            }
        }
    }

    /// The versions of everything in the namespace that a rollout could touch.
    async fn versions_of_objects(&self) -> Result<BTreeMap<String, Option<String>>> {
        let mut found = BTreeMap::new();
        macro_rules! add {
            ($($kind:ty),*) => {$(
                for object in self.cluster.of::<$kind>().list(&ListParams::default()).await?.items {
                    let name = format!("{} {}", stringify!($kind), object.name_any());
                    found.insert(name, object.resource_version());
                }
            )*};
        }
        add!(ConfigMap, Secret, Service);
        // Controllers write into its status; what somebody asked for counts as generations.
        for object in self
            .cluster
            .of::<Deployment>()
            .list(&ListParams::default())
            .await?
            .items
        {
            let generation = object.metadata.generation.map(|g| g.to_string());
            found.insert(format!("Deployment {}", object.name_any()), generation);
        }
        Ok(found)
    }
}

fn object<'p>(preview: &'p DeploymentPreview, kind: &str) -> &'p ObjectChange {
    let mut of_kind = preview.objects.iter().filter(|object| object.kind == kind);
    match (of_kind.next(), of_kind.next()) {
        (Some(object), None) => object,
        _ => panic!("not one {kind}: {preview:#?}"),
    }
}

/// `path: before → after`.
fn lines(object: &ObjectChange) -> Vec<String> {
    let side = |value: &Option<String>| value.clone().unwrap_or("(none)".to_owned());
    let line = |f: &proto::preview::v1::FieldChange| {
        format!("{}: {} → {}", f.path, side(&f.before), side(&f.after))
    };
    object.fields.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_what_would_change_and_changes_nothing() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let origin = bench.made("1.0.0", &one, FIRST, None).await?;
    let preview = bench.preview("1.0.0", &one, &origin).await?;
    assert_eq!(
        (preview.strategy.as_str(), preview.current_version.as_str()),
        ("bring up", "")
    );
    let all = &preview.objects;
    assert!(
        all.iter().all(|o| o.change() == ChangeKind::Created),
        "{preview:#?}"
    );
    assert!(
        object(&preview, "Deployment")
            .note
            .contains("is not there yet"),
        "{preview:#?}"
    );
    let namespaces: Api<Namespace> = Api::all(bench.cluster.client.clone());
    assert!(namespaces.get_opt(bench.test.as_str()).await?.is_none());

    let first = bench.deploy("1.0.0", &one, FIRST).await?;
    green(&bench.outcome(&first).await?);
    let before = (bench.versions_of_objects().await?, bench.rollouts().await?);
    let same = bench.preview("1.0.0", &one, &first).await?;
    let is_same = |o: &ObjectChange| o.change() == ChangeKind::Unchanged && o.fields.is_empty();
    assert!(
        same.objects.len() == 5 && same.objects.iter().all(is_same),
        "{same:#?}"
    );

    let origin = bench.made("1.1.0", &two, SECOND, None).await?;
    let preview = bench.preview("1.1.0", &two, &origin).await?;
    assert_eq!(
        (preview.target.as_str(), preview.place.as_str()),
        ("kubernetes", bench.test.as_str())
    );
    assert_eq!(
        (preview.current_version.as_str(), preview.strategy.as_str()),
        ("1.0.0", "rolling")
    );
    assert!(preview.obstacles.is_empty(), "{preview:#?}");
    let map = object(&preview, "ConfigMap");
    assert_eq!(
        (map.change(), lines(map)),
        (
            ChangeKind::Created,
            vec!["data.LEVEL: debug → info".to_owned()]
        )
    );
    assert!(
        map.instead_of.starts_with("shop-env-") && map.instead_of != map.name,
        "{map:?}"
    );
    // The secret is as it was, but for the labels of the version.
    let secret = object(&preview, "Secret");
    assert!(
        secret
            .fields
            .iter()
            .all(|f| f.path.starts_with("metadata.")),
        "{secret:?}"
    );
    let deployment = object(&preview, "Deployment");
    assert!(
        deployment.note.contains("its pods are replaced"),
        "{deployment:?}"
    );
    let told = lines(deployment);
    assert!(
        told.contains(&"spec.replicas: 2 → 1".to_owned()),
        "{told:#?}"
    );
    let image = told
        .iter()
        .find(|line| line.starts_with("spec.template.spec.containers[shop].image:"));
    assert!(
        image.is_some_and(|line| line.contains(one.as_str()) && line.ends_with(two.as_str())),
        "{told:#?}"
    );
    assert!(
        !told
            .iter()
            .any(|line| line.contains("slipway.run") || line.contains("managedFields")),
        "{told:#?}"
    );
    assert_eq!(
        object(&preview, "PodDisruptionBudget").change(),
        ChangeKind::Removed
    );
    assert!(
        !format!("{preview:?}").contains("b3BlbiBzZXNhbWU"),
        "a secret is shown"
    );

    assert_eq!(
        (bench.versions_of_objects().await?, bench.rollouts().await?),
        before
    );
    // What was told is what happens.
    let second = bench.deploy("1.1.0", &two, SECOND).await?;
    green(&bench.outcome(&second).await?);
    assert_eq!(
        bench.cluster.settings().await?,
        std::slice::from_ref(&map.name)
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_stop_a_rollout_is_told_with_what_to_do() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let image = bench.server("one").await?;
    let first = bench.deploy("1.0.0", &image, READY).await?;
    green(&bench.outcome(&first).await?);
    let by_hand = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": SERVICE },
        "spec": { "replicas": 1 },
    });
    bench.cluster.apply(&by_hand).await?;
    let before = bench.versions_of_objects().await?;
    let preview = bench.preview("1.0.0", &image, &first).await?;
    let deployment = object(&preview, "Deployment");
    assert_eq!(lines(deployment), ["spec.replicas: 1 → 2"]);
    assert!(
        deployment.conflict.contains(".spec.replicas"),
        "{deployment:?}"
    );
    let obstacle = preview.obstacles.join("\n");
    assert!(
        obstacle.contains("changed by somebody else") && obstacle.contains("undo that change"),
        "{obstacle}"
    );

    let files = [(
        "k8s/all.yaml",
        "
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
spec:
  selector: { matchLabels: { app: another } }
  template:
    metadata: { labels: { app: another } }
    spec: { containers: [{ name: shop, image: shop }] }
---
apiVersion: v1
kind: Service
metadata: { name: front }
spec: { selector: { app: another }, ports: [{ port: 0 }] }
---
apiVersion: example.org/v1
kind: Gizmo
metadata: { name: some }
",
    )];
    let repository = GitRepository::with_files(&files)?;
    let own = "{ manifests: k8s }";
    let origin = bench.made("2.0.0", &image, own, Some(&repository)).await?;
    let preview = bench.preview("2.0.0", &image, &origin).await?;
    for (kind, reason) in [
        ("Deployment", "immutable"),
        ("Service", "spec.ports[0].port"),
        (
            "Gizmo",
            "the cluster knows no Gizmo of example.org/v1; install what defines it",
        ),
    ] {
        let refused = match kind {
            "Service" => preview
                .objects
                .iter()
                .find(|o| o.name == "front")
                .expect("it is told"),
            _ => object(&preview, kind),
        };
        assert_eq!(refused.change(), ChangeKind::Refused, "{refused:?}");
        assert!(refused.note.contains(reason), "{refused:?}");
        let told = preview.obstacles.iter().any(|o| o.contains(&refused.note));
        assert!(told, "{:?}", preview.obstacles);
    }
    assert_eq!(bench.versions_of_objects().await?, before);

    // What stops everything is no preview.
    let repository = GitRepository::with_files(&[("k8s/all.yaml", "kind: [")])?;
    let origin = bench.made("2.0.1", &image, own, Some(&repository)).await?;
    let why = bench
        .preview("2.0.1", &image, &origin)
        .await
        .expect_err("it can't be read");
    assert_eq!(why.code(), Code::FailedPrecondition, "{why:?}");
    assert!(why.message().contains("all.yaml:1"), "{why:?}");
    let nobody: RunId = "run-of-nobody".parse()?;
    let why = bench
        .preview("1.0.0", &image, &nobody)
        .await
        .expect_err("it is not known");
    assert!(
        why.message().contains("start a new run of that commit"),
        "{why:?}"
    );
    bench.target().kubeconfig = Some("file:/nowhere".parse()?);
    bench.start_deployer()?;
    let why = bench
        .preview("1.0.0", &image, &first)
        .await
        .expect_err("there is no way");
    assert!(why.message().contains("can't be used"), "{why:?}");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_previewed_beside_the_version_that_serves() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let before = bench.versions_of_objects().await?;
    let canary = "{ replicas: 2, ready: { http: /healthz }, drain: 1s, deadline: 100s, \
                  strategy: { canary: { steps: [50%, bake 1s, 100%] } } }";
    let origin = bench.made("1.1.0", &two, canary, None).await?;
    let preview = bench.preview("1.1.0", &two, &origin).await?;
    assert_eq!(preview.strategy, "canary");
    assert_eq!(preview.steps, ["50%", "bake 1s", "100%", "retire"]);
    assert!(preview.obstacles.is_empty(), "{preview:#?}");
    let deployment = object(&preview, "Deployment");
    assert_eq!(
        (deployment.change(), deployment.instead_of.as_str()),
        (ChangeKind::Created, "shop")
    );
    assert_eq!(
        deployment
            .fields
            .iter()
            .filter(|f| f.path.contains("image"))
            .count(),
        1,
        "{deployment:#?}"
    );
    let is_set = |f: &proto::preview::v1::FieldChange| f.path.contains("slipway.set");
    assert!(!deployment.fields.iter().any(is_set), "{deployment:#?}");
    let beside = preview.objects.iter().find(|o| o.name == "shop-preview");
    assert!(
        beside.is_some_and(|o| o.note.contains("during the rollout only")),
        "{preview:#?}"
    );
    assert_eq!(bench.versions_of_objects().await?, before);

    let second = bench.deploy("1.1.0", &two, canary).await?;
    green(&bench.outcome(&second).await?);
    let live = bench.versions_of_objects().await?;
    assert!(
        live.contains_key(&format!("Deployment {}", deployment.name)),
        "{live:?}"
    );
    let origin = bench.made("1.2.0", &one, canary, None).await?;
    let preview = bench.preview("1.2.0", &one, &origin).await?;
    assert_eq!(object(&preview, "Deployment").instead_of, deployment.name);
    let same = bench.preview("1.1.0", &two, &second).await?;
    assert!(
        same.objects
            .iter()
            .all(|o| o.change() == ChangeKind::Unchanged),
        "{same:#?}"
    );
    bench.finish().await
}
