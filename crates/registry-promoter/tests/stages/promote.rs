//! A candidate becomes a release.

use anyhow::Result;
use domain::run::RunState;
use domain::stage::{Artifact, StageName};
use registry::Digest;

use crate::bench::{Bench, artifact, red};

/// Publishes and promotes a digest.
async fn carry(bench: &Bench, version: &str, digest: &Digest) -> Result<domain::ids::RunId> {
    let run = bench.submit(version, digest).await?;
    artifact(bench.ended(&run, &StageName::Publish).await?);
    bench.go_on_to_promotion(&run).await?;
    Ok(run)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_digest_is_released_and_its_tag_never_moves() -> Result<()> {
    let bench = Bench::start().await?;
    let one = bench.image("1.0.0", "one").await?.descriptor().digest;
    let run = carry(&bench, "1.0.0", &one).await?;
    let released = artifact(bench.ended(&run, &StageName::Promote).await?);
    let Artifact::Release { tag, digest, .. } = released else {
        panic!("{released:?}")
    };
    assert_eq!((tag.as_str(), digest.as_str()), ("1.0.0", one.as_str()));
    assert_eq!(
        bench.tagged(&bench.production, "1.0.0").await?,
        Some(one.clone())
    );

    let two = bench.image("1.0.0", "two").await?.descriptor().digest;
    let run = carry(&bench, "1.0.0", &two).await?;
    let reason = red(bench.ended(&run, &StageName::Promote).await?);
    assert!(reason.contains("1.0.0 was released already"), "{reason}");
    assert_eq!(
        bench.runs.get(&run).await?.map(|run| run.state()),
        Some(RunState::Failed)
    );
    assert_eq!(bench.tagged(&bench.production, "1.0.0").await?, Some(one));
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_released_with_all_its_images() -> Result<()> {
    let bench = Bench::start().await?;
    let index = bench.index("1.0.0").await?;
    let run = carry(&bench, "1.0.0", &index).await?;
    artifact(bench.ended(&run, &StageName::Promote).await?);
    assert_eq!(bench.tagged(&bench.production, "1.0.0").await?, Some(index));
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_for_a_while_delays_a_release() -> Result<()> {
    let mut bench = Bench::start().await?;
    let one = bench.image("1.0.0", "one").await?.descriptor().digest;
    bench.production.stop().await?;
    let run = carry(&bench, "1.0.0", &one).await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(
        bench.runs.get(&run).await?.map(|run| run.state()),
        Some(RunState::Running)
    );
    bench.production.restart().await?;
    artifact(bench.ended(&run, &StageName::Promote).await?);
    assert_eq!(bench.tagged(&bench.production, "1.0.0").await?, Some(one));
    assert!(bench.releases().await?.release(&"1.0.0".parse()?).is_some());
    bench.finish().await
}
