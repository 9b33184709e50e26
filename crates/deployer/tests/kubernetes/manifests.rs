//! The team's own objects.

use anyhow::Result;
use domain::ids::{Digest, RunId};
use domain::run::Kind;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use testkit::git::GitRepository;
use testkit::load::Load;

use crate::bench::{Bench, answers, eventually, green, red};
use crate::needs_cluster;
use crate::runs::Wish;

const OWN: &str = "{ manifests: k8s, deadline: 100s }";
const KUSTOMIZATION: &str = "resources: [web.yaml]\nnamePrefix: my-\nlabels: [{ pairs: { part: web }, includeSelectors: true }]\n";
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
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
        envFrom: [{ configMapRef: { name: settings } }]
---
apiVersion: v1
kind: Service
metadata: { name: front }
spec: { selector: { app: web }, ports: [{ port: 8080 }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { GREETING: hello }
";

impl Bench {
    async fn bring(
        &self,
        version: &str,
        digest: &Digest,
        repository: &GitRepository,
    ) -> Result<RunId> {
        let wish = Wish {
            version,
            digest,
            deploy: OWN,
            kind: Kind::Change,
            repository: Some(repository),
        };
        self.submit(wish).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_s_own_objects_are_deployed_as_the_commit_has_them() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, broken) = (
        bench.server("one").await?,
        bench.image("broken", "exit 3").await?,
    );
    let repository = GitRepository::with_files(&[
        ("k8s/kustomization.yaml", KUSTOMIZATION),
        ("k8s/web.yaml", WEB),
    ])?;
    let first = bench.bring("1.0.0", &one, &repository).await?;
    green(&bench.outcome(&first).await?);
    let rollouts = bench.rollouts().await?;
    let address = rollouts.current().map(|placed| placed.address.clone());
    assert_eq!(
        address,
        Some(format!("http://my-front.{}.svc:8080", bench.test))
    );
    let settings = bench.cluster.settings().await?;
    assert!(settings[0].starts_with("my-settings-"), "{settings:?}");
    let address = bench.cluster.address("my-front").await?;
    answers(&address, "one").await?;
    let load = Load::start(address, 1, Some(20.0));

    // Another name and another configuration, with an image that does not come up: all of it goes back.
    repository.commit_files(
        &[("k8s/web.yaml", &WEB.replace("hello", "bye"))],
        "fix: More",
    )?;
    let second = bench.bring("1.1.0", &broken, &repository).await?;
    let failure = red(bench.outcome(&second).await?);
    assert!(
        failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );
    load.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.settings().await?, settings);

    // Objects under other names: the old ones go.
    repository.commit_files(
        &[(
            "k8s/kustomization.yaml",
            &KUSTOMIZATION.replace("my-", "our-"),
        )],
        "feat: Other names",
    )?;
    let third = bench.bring("1.2.0", &one, &repository).await?;
    green(&bench.outcome(&third).await?);
    assert_eq!(bench.cluster.names::<Deployment>().await?, ["our-web"]);
    assert_eq!(bench.cluster.names::<Service>().await?, ["our-front"]);
    eventually("only pods of the new Deployment are left", async || {
        let pods = bench.cluster.names::<Pod>().await?;
        Ok((pods.len() == 1 && pods[0].starts_with("our-web-")).then_some(()))
    })
    .await?;
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_can_not_be_right_change_nothing() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let elsewhere = WEB.replace("name: front }", "name: front, namespace: kube-system }");
    let repository = GitRepository::with_files(&[("k8s/web.yaml", &elsewhere)])?;
    let run = bench.bring("1.0.0", &one, &repository).await?;
    let failure = red(bench.outcome(&run).await?);
    assert!(failure.reason.contains("k8s/web.yaml:21: "), "{failure:?}");
    assert!(
        failure.reason.contains("names the namespace `kube-system`"),
        "{failure:?}"
    );

    // What only the API server knows: a field that is no number, and a kind that is not there.
    let invalid = WEB.replace("replicas: 1", "replicas: -1");
    let unknown =
        format!("{WEB}---\napiVersion: example.org/v1\nkind: Widget\nmetadata: {{ name: w }}\n");
    for (text, words) in [
        (invalid, "must be greater than or equal to 0"),
        (unknown, "the cluster knows no Widget of example.org/v1"),
    ] {
        repository.commit_files(&[("k8s/web.yaml", &text)], "fix: More")?;
        let run = bench.bring("1.0.0", &one, &repository).await?;
        let failure = red(bench.outcome(&run).await?);
        assert!(failure.reason.contains(words), "{failure:?}");
    }
    assert_eq!(
        bench.cluster.names::<Deployment>().await?,
        Vec::<String>::new()
    );
    bench.finish().await
}

const SETS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: store }
spec:
  serviceName: store
  replicas: 2
  selector: { matchLabels: { app: store } }
  template:
    metadata: { labels: { app: store } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - { name: main, image: shop, readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 } }
---
apiVersion: v1
kind: Service
metadata: { name: store }
spec: { clusterIP: None, selector: { app: store }, ports: [{ port: 8080 }] }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent }
spec:
  selector: { matchLabels: { app: agent } }
  template:
    metadata: { labels: { app: agent } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - { name: main, image: shop, readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 } }
";

#[tokio::test(flavor = "multi_thread")]
async fn stateful_and_daemon_sets_are_watched_and_go_back_too() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two, broken) = (
        bench.server("one").await?,
        bench.server("two").await?,
        bench.image("broken", "echo no disk; exit 3").await?,
    );
    let repository = GitRepository::with_files(&[("k8s/sets.yaml", SETS)])?;
    for (version, digest) in [("1.0.0", &one), ("1.1.0", &two)] {
        let run = bench.bring(version, digest, &repository).await?;
        green(&bench.outcome(&run).await?);
        assert_eq!(bench.cluster.versions().await?, [version; 3]);
    }
    let run = bench.bring("1.2.0", &broken, &repository).await?;
    let failure = red(bench.outcome(&run).await?);
    assert!(failure.reason.contains("CrashLoopBackOff"), "{failure:?}");
    assert!(
        failure.reason.contains("1.1.0 serves as before"),
        "{failure:?}"
    );
    assert!(
        failure.last_lines.iter().any(|l| l.contains("no disk")),
        "{failure:?}"
    );
    bench.finish().await
}
