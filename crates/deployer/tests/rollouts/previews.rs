//! What a rollout would change, asked of a real engine.

use anyhow::Result;
use domain::ids::{Digest, RunId};
use domain::run::Kind;
use proto::deployer::v1::PreviewDeploymentRequest;
use proto::preview::v1::{ChangeKind, DeploymentPreview, ObjectChange};

use crate::bench::{Bench, SERVICE, green};
use crate::needs_all;
use crate::runs::{READY, Wish};

impl Bench {
    /// What a version that could be deployed would change.
    async fn preview(
        &self,
        version: &str,
        digest: &Digest,
        deploy: &str,
    ) -> Result<DeploymentPreview> {
        let wish = Wish {
            version,
            digest,
            deploy,
            // No later run waits for it.
            kind: Kind::Proposal {
                number: "1".to_owned(),
            },
        };
        let origin = self.plan(&wish).await?;
        self.preview_of(version, digest, &origin).await
    }

    async fn preview_of(
        &self,
        version: &str,
        digest: &Digest,
        origin: &RunId,
    ) -> Result<DeploymentPreview> {
        let request = PreviewDeploymentRequest {
            service: SERVICE.to_owned(),
            environment: self.test.to_string(),
            version: version.to_owned(),
            origin_run_id: origin.to_string(),
            repository: self.platform.development_repository(&SERVICE.parse()?),
            image_digest: digest.to_string(),
            ..PreviewDeploymentRequest::default()
        };
        let answer = self.questions()?.preview_deployment(request).await?;
        Ok(answer.into_inner())
    }

    /// The identities of everything that is there.
    async fn everything(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for role in ["replica", "edge"] {
            let containers = self.containers(&self.test, role).await?;
            found.extend(
                containers
                    .iter()
                    .map(|c| format!("{:?} {:?}", c.id, c.started_at)),
            );
        }
        found.sort();
        Ok(found)
    }
}

fn replicas(preview: &DeploymentPreview) -> &ObjectChange {
    let replicas = preview.objects.iter().find(|o| o.kind == "replicas");
    replicas.expect("replicas are told")
}

fn paths(object: &ObjectChange) -> Vec<&str> {
    object.fields.iter().map(|f| f.path.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_which_replicas_would_go_and_leaves_them() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let preview = bench.preview("1.0.0", &one, READY).await?;
    assert!(
        preview
            .objects
            .iter()
            .all(|o| o.change() == ChangeKind::Created),
        "{preview:#?}"
    );
    assert_eq!(replicas(&preview).note, "2 would be started");
    assert_eq!(bench.everything().await?, Vec::<String>::new());

    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let before = (
        bench.everything().await?,
        bench.rollouts(&bench.test).await?,
    );
    let same = bench.preview_of("1.0.0", &one, &first).await?;
    assert!(
        same.objects
            .iter()
            .all(|o| o.change() == ChangeKind::Unchanged),
        "{same:#?}"
    );
    assert_eq!(
        (same.current_version.as_str(), same.obstacles.len()),
        ("1.0.0", 0)
    );

    let changed = "{ replicas: 3, ready: { http: /healthz }, drain: 2s, deadline: 20s, \
                   env: { LEVEL: info, KEY: { secret: env:SHOP_SECRET } }, \
                   strategy: { canary: { steps: [10%, bake 1s, 100%] } } }";
    let preview = bench.preview("1.1.0", &two, changed).await?;
    let change = replicas(&preview);
    assert_eq!(change.note, "3 would be started, 2 would be removed");
    assert_eq!(
        paths(change),
        [
            "deploy.env.KEY.secret",
            "deploy.env.LEVEL",
            "deploy.replicas",
            "image.digest",
            "version"
        ]
    );
    assert!(
        !format!("{preview:?}").contains("open sesame"),
        "a secret is shown"
    );
    assert_eq!(preview.strategy, "canary");
    assert_eq!(preview.steps, ["10%", "bake 1s", "100%", "retire"]);

    let check = "{ ready: { command: 'true' } }";
    let preview = bench.preview("1.1.0", &two, check).await?;
    assert_eq!(replicas(&preview).change(), ChangeKind::Refused);
    assert!(
        preview.obstacles[0].contains("use `http` or `tcp`"),
        "{:?}",
        preview.obstacles
    );
    assert_eq!(
        (
            bench.everything().await?,
            bench.rollouts(&bench.test).await?
        ),
        before
    );
    bench.finish().await
}
