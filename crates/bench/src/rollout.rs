//! Rollouts in steps by a real deployer: how fast an aborted canary is gone, and what our loop adds to a step.

mod shop;
mod witness;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use domain::platform::{KubernetesTarget, Target};
use domain::rollout::Act;
use domain::run::Actor;
use domain::spec::SecretReference;

use crate::report::{Report, median, ms, quantile};
use shop::Shop;
use witness::Witness;

/// Rollouts that are aborted on each target.
const ABORTS: usize = 5;
/// Steps of the rollout whose loop is measured. They move a hundredth of the traffic each, so that the replicas are
/// there before.
const STEPS: usize = 20;
/// Half of the requests until somebody decides.
const HALF: &str =
    "{ replicas: 2, drain: 1s, strategy: { canary: { steps: [50%, pause, 100%] } } }";

pub(crate) async fn measure() -> Result<Report> {
    let mut report = Report::new("Rollouts in steps");
    let docker = Shop::open(Target::Docker(Default::default())).await?;
    let measured = async {
        aborts(&docker, "Docker", &mut report).await?;
        steps(&docker, &mut report).await
    };
    let measured = measured.await;
    closed(docker, measured).await?;
    match std::env::var_os("KUBECONFIG").map(PathBuf::from) {
        Some(kubeconfig) => {
            let target = KubernetesTarget {
                kubeconfig: Some(SecretReference::File(kubeconfig.display().to_string())),
                ..KubernetesTarget::default()
            };
            let kubernetes = Shop::open(Target::Kubernetes(target)).await?;
            let measured = aborts(&kubernetes, "Kubernetes, by replicas", &mut report).await;
            closed(kubernetes, measured).await?;
        }
        None => report.note("not measured on Kubernetes: KUBECONFIG names no cluster"),
    }
    Ok(report)
}

/// Removes what was made, whatever came of the measurement.
async fn closed(shop: Shop, measured: Result<()>) -> Result<()> {
    let closed = shop.close().await;
    measured.and(closed)
}

/// From the decision until the last answer of the bad version, and until the rollout has ended.
async fn aborts(shop: &Shop, target: &str, report: &mut Report) -> Result<()> {
    let (good, bad) = (shop.image("good").await?, shop.image("bad").await?);
    let first = shop.deploy("1.0.0", &good, HALF).await?;
    shop.succeeded(&first).await?;
    let witness = Witness::start(&shop.address().await?);
    witness.until_answered("good").await?;
    let (mut last_answers, mut ends) = (Vec::new(), Vec::new());
    for attempt in 1..=ABORTS {
        let version = format!("1.{attempt}.0");
        let run = shop.deploy(&version, &bad, HALF).await?;
        shop.until(&run, |progress| progress.paused.is_some())
            .await?;
        witness.until_answered("bad").await?;
        let decided = Instant::now();
        let act = Act::AbortRequested {
            by: Some(Actor("bench".to_owned())),
            reason: "measured".to_owned(),
        };
        shop.act(&run, act).await?;
        shop.ended(&run).await?;
        ends.push(decided.elapsed());
        // Whoever still answers would do so now.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let last = witness
            .last("bad")
            .context("the bad version never answered")?;
        last_answers.push(last.saturating_duration_since(decided));
    }
    let seen = witness.stop().await;
    report.fact(
        &format!(
            "{target}: {ABORTS} canaries at 50 % aborted, the last answer of the bad version after"
        ),
        format!(
            "{} (the slowest {})",
            ms(median(&mut last_answers)),
            ms(quantile(&mut last_answers, 1.0))
        ),
    );
    report.fact(
        &format!("{target}: and the rollout had ended, nothing of it left, after"),
        ms(median(&mut ends)),
    );
    report.goal(
        &format!("{target}: failed requests meanwhile"),
        format!("{} of {}", seen.failed, seen.requests),
        "none",
        seen.failed == 0,
    );
    Ok(())
}

/// How long a step takes that has nothing to wait for.
async fn steps(shop: &Shop, report: &mut Report) -> Result<()> {
    let image = shop.image("stepwise").await?;
    let mut weights: Vec<String> = (1..=STEPS).map(|percent| format!("{percent}%")).collect();
    weights.push("100%".to_owned());
    let deploy = format!(
        "{{ replicas: 1, drain: 1s, strategy: {{ canary: {{ steps: [{}] }} }} }}",
        weights.join(", ")
    );
    let run = shop.deploy("2.0.0", &image, &deploy).await?;
    shop.succeeded(&run).await?;
    let entered = shop.entered(&run).await?;
    ensure!(
        entered.len() > STEPS,
        "{} steps were entered",
        entered.len()
    );
    // The first one starts the replica, the last one removes those of the version before.
    let pairs = entered[1..STEPS].windows(2);
    let mut times: Vec<Duration> = pairs
        .map(|pair| Duration::try_from(pair[1].duration_since(pair[0])).unwrap_or_default())
        .collect();
    report.fact(
        "Docker: from one step to the next where nothing is waited for: look, decide, new table, append",
        format!(
            "p50 {}, p99 {}",
            ms(median(&mut times)),
            ms(quantile(&mut times, 0.99))
        ),
    );
    Ok(())
}
