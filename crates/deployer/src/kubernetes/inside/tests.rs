//! On the real cluster, in a namespace of the test's own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::spec::ContainerQuery;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::*;
use crate::analysis::access::Pass;
use crate::analysis::exchange::Http;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

struct Bench {
    inside: Inside,
    cluster: Cluster,
    client: Client,
}

impl Bench {
    async fn start() -> Result<Option<Self>> {
        let Some(kubeconfig) = testkit::kubernetes::kubeconfig() else {
            return Ok(None);
        };
        testkit::docker::busybox_image()?;
        // Rustls needs to know whose cryptography it has.
        let _ = Http::new();
        let target = KubernetesTarget {
            kubeconfig: Some(SecretReference::File(kubeconfig.display().to_string())),
            ..KubernetesTarget::default()
        };
        let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let environment: EnvironmentName = format!("i{id}").parse()?;
        let client = connect(&environment, &target).await?;
        let inside = Inside {
            platform: PlatformSpec::default_for_one_machine("127.0.0.1:1", "127.0.0.1:1"),
            target,
            service: "shop".parse()?,
            address: format!("http://shop.{environment}.svc:8080"),
            is_routed: false,
            attempt: job::short(&id),
            tasks: TaskTracker::new(),
            environment,
        };
        let namespace = json!({ "metadata": { "name": inside.namespace() } });
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &serde_json::from_value(namespace)?)
            .await?;
        Ok(Some(Self {
            cluster: inside.cluster().await.map_err(anyhow::Error::msg)?,
            inside,
            client,
        }))
    }

    /// A web server behind a Service, ready.
    async fn serve(&self, script: &str) -> Result<()> {
        let pod = json!({
            "metadata": { "name": "shop", "labels": { "app": "shop" } },
            "spec": { "terminationGracePeriodSeconds": 0, "containers": [{
                "name": "shop", "image": testkit::docker::BUSYBOX, "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", script],
                "readinessProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1 },
            }] },
        });
        let service = json!({
            "metadata": { "name": "shop" },
            "spec": { "selector": { "app": "shop" }, "ports": [{ "port": 8080 }] },
        });
        let (pods, services) = (self.cluster.typed::<Pod>(), self.cluster.typed::<Service>());
        let params = PostParams::default();
        let pod = serde_json::from_value(pod)?;
        // A moment after the namespace there is the account that pods of it have.
        until("the pod is made", async || {
            Ok(pods.create(&params, &pod).await.ok())
        })
        .await?;
        services
            .create(&params, &serde_json::from_value(service)?)
            .await?;
        Ok(())
    }

    async fn get(&self, url: &str, pass: Pass) -> Result<Answer, String> {
        let question = Question {
            url: Url::parse(url).expect("a URL"),
            pass,
            limit: Duration::from_secs(10),
        };
        assert!(self.inside.has(&question).await, "{url}");
        self.inside.get(&question).await
    }

    async fn jobs(&self) -> Result<usize> {
        Ok(self.cluster.list::<Job>("").await?.len())
    }

    async fn finish(self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let name = self.inside.namespace();
        namespaces.delete(&name, &DeleteParams::default()).await?;
        until("the namespace is gone", async || {
            Ok(namespaces.get_opt(&name).await?.is_none().then_some(()))
        })
        .await
    }
}

async fn until<T>(what: &str, ask: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(Instant::now() < deadline, "did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn check(query: Json) -> ContainerQuery {
    let mut query = query;
    if query["image"].is_null() {
        query["image"] = json!(testkit::docker::BUSYBOX);
    }
    serde_json::from_value(query).expect("a query")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_only_the_cluster_knows_is_asked() -> Result<()> {
    let Some(bench) = Bench::start().await? else {
        return Ok(());
    };
    bench
        .serve(
            "mkdir -p /www/cgi-bin; cd /www/cgi-bin; echo '#!/bin/sh' > who; echo 'echo; echo \
             \"$HTTP_USER_AGENT $HTTP_X_KEY $QUERY_STRING\"' >> who; chmod +x who; exec httpd -f -p 8080 -h /www",
        )
        .await?;
    let address = bench.inside.address().to_owned();
    let mut pass = Pass::default();
    pass.set("User-Agent", "somebody").expect("a header");
    pass.set("X-Key", "key").expect("a header");
    pass.set("Impersonate-User", "nobody").expect("a header");
    let ask = async |path: &str| bench.get(&format!("{address}{path}"), pass.clone()).await;
    let answer = until("it answers", async || {
        Ok(ask("/cgi-bin/who?a=b&c").await.ok())
    })
    .await?;
    assert_eq!(
        String::from_utf8_lossy(&answer.body),
        "somebody key a=b&c\n"
    );
    assert_eq!(answer.status, 200);
    assert_eq!(ask("/nowhere").await.map(|a| a.status), Ok(404));
    let nobody = address.replace("shop.", "nobody.");
    let why = bench.get(&nobody, Pass::default()).await;
    let why = why.expect_err("nobody is there");
    assert!(why.contains("asking the Service nobody"), "{why}");
    assert!(why.contains("not found"), "{why}");
    let mut login = Pass::default();
    login.set("Authorization", "Bearer x").expect("a header");
    let why = bench.get(&address, login).await.expect_err("not passed on");
    assert!(why.contains("would take the token or login"), "{why}");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_a_job_that_leaves_nothing() -> Result<()> {
    let Some(bench) = Bench::start().await? else {
        return Ok(());
    };
    let variables = BTreeMap::from([("SLIPWAY_VERSION".to_owned(), "it's 2".to_owned())]);
    let run = async |query: Json| bench.inside.run(&check(query), &variables).await;

    let good = run(json!({ "run": ["test \"$SLIPWAY_VERSION\" = \"it's 2\""] })).await;
    assert_eq!(good.map(|ran| ran.code), Ok(0));
    let bad = run(json!({
        "run": ["echo counting", "echo 3 orders are lost >&2; exit 4", "echo never"],
        "resources": { "memory": "32Mi", "cpus": "0.5" },
    }));
    let bad = bad.await.map_err(anyhow::Error::msg)?;
    assert_eq!(bad.code, 4);
    assert!(
        bad.last_lines.contains("3 orders are lost"),
        "{}",
        bad.last_lines
    );
    assert!(!bad.last_lines.contains("/ never"), "{}", bad.last_lines);
    let slow = run(json!({ "run": ["echo waiting", "sleep 60"], "timeout": "6s" })).await;
    let slow = slow.map(|ran| ran.code).expect_err("it takes too long");
    assert!(slow.contains("longer than 6 s"), "{slow}");
    assert!(slow.contains("waiting"), "{slow}");
    let started = Instant::now();
    let absent = run(json!({ "image": "127.0.0.1:1/absent:1", "run": ["true"], "timeout": "5m" }));
    let absent = absent.await.map(|ran| ran.code).expect_err("no image");
    assert!(absent.contains("can't be pulled"), "{absent}");
    assert!(started.elapsed() < PATIENCE, "long before its time is over");
    assert_eq!(bench.jobs().await?, 0);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_nobody_waits_for_any_more_is_removed() -> Result<()> {
    let Some(bench) = Bench::start().await? else {
        return Ok(());
    };
    let sleeping = check(json!({ "run": ["sleep 600"] }));
    let none = BTreeMap::new();
    {
        let running = bench.inside.run(&sleeping, &none);
        tokio::pin!(running);
        let begun = until("it began", async || {
            let pods = bench.cluster.list::<Pod>("").await?;
            Ok((!pods.is_empty()).then_some(()))
        });
        tokio::select! {
            begun = begun => begun?,
            ended = &mut running => anyhow::bail!("it ended: {:?}", ended.map(|ran| ran.code)),
        }
    }
    until("its Job and its pod are gone", async || {
        let pods = bench.cluster.list::<Pod>("").await?;
        Ok((bench.jobs().await? == 0 && pods.is_empty()).then_some(()))
    })
    .await?;

    // One that a deployer left when it crashed is removed by the next attempt, and nobody else's is.
    let before = Inside {
        attempt: job::short("before"),
        ..bench.inside.clone()
    };
    let other = Inside {
        service: "orders".parse()?,
        ..before.clone()
    };
    for owner in [before.owner(), other.owner(), bench.inside.owner()] {
        let job = job::job(
            &sleeping,
            "sleep 600",
            Duration::from_secs(600),
            &owner,
            (testkit::docker::BUSYBOX, &bench.inside.target),
        );
        bench.cluster.create_job(&job).await?;
    }
    assert_eq!(bench.jobs().await?, 3);
    bench.inside.clear().await.map_err(anyhow::Error::msg)?;
    let left = bench.cluster.list::<Job>("").await?;
    let attempts: Vec<(&str, &str)> = left
        .iter()
        .filter_map(|job| {
            let labels = job.metadata.labels.as_ref()?;
            let label = |name: &str| labels.get(name).map(String::as_str);
            Some((label("slipway.service")?, label("slipway.attempt")?))
        })
        .collect();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert!(attempts.contains(&("shop", bench.inside.attempt.as_str())));
    assert!(attempts.contains(&("orders", before.attempt.as_str())));
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_namespace_is_read_and_no_other() -> Result<()> {
    let Some(bench) = Bench::start().await? else {
        return Ok(());
    };
    let namespace = bench.inside.namespace();
    let secret = json!({
        "metadata": { "name": "prometheus" }, "stringData": { "token": "open sesame\n" },
    });
    let secrets = bench.cluster.typed::<SecretObject>();
    secrets
        .create(&PostParams::default(), &serde_json::from_value(secret)?)
        .await?;
    let read = async |reference: &str| {
        let reference: SecretReference = reference.parse().expect("a reference");
        bench.inside.secret(&reference).await
    };
    let token = read(&format!("kubernetes:{namespace}/prometheus/token")).await;
    let token = token.ok().context("it is there")?;
    assert_eq!(token.expose(), b"open sesame");
    for absent in ["prometheus/other", "other/token"] {
        let why = read(&format!("kubernetes:{namespace}/{absent}")).await;
        assert!(why.err().context("absent")?.contains("is not there"));
    }
    let other = read("kubernetes:kube-system/prometheus/token").await;
    assert!(
        other
            .err()
            .context("another's")?
            .contains("in another namespace")
    );
    bench.finish().await
}
