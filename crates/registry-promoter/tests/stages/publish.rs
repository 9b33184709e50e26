//! A tested image becomes a candidate.

use anyhow::Result;
use domain::stage::{Artifact, StageName};

use crate::bench::{Bench, artifact, red};

#[tokio::test(flavor = "multi_thread")]
async fn candidates_of_a_version_are_numbered() -> Result<()> {
    let bench = Bench::start().await?;
    for (seed, expected) in [("one", "1.0.0-rc.1"), ("two", "1.0.0-rc.2")] {
        let digest = bench.image("1.0.0", seed).await?.descriptor().digest;
        let run = bench.submit("1.0.0", &digest).await?;
        let published = artifact(bench.ended(&run, &StageName::Publish).await?);
        let Artifact::Candidate {
            tag,
            digest: candidate,
        } = published
        else {
            panic!("{published:?}")
        };
        assert_eq!(
            (tag.as_str(), candidate.as_str()),
            (expected, digest.as_str())
        );
        assert_eq!(
            bench.tagged(&bench.development, expected).await?,
            Some(digest)
        );
    }
    assert_eq!(bench.tagged(&bench.production, "1.0.0").await?, None);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_says_it_is_another_version_is_refused() -> Result<()> {
    let bench = Bench::start().await?;
    let digest = bench.image("0.9.0", "one").await?.descriptor().digest;
    let run = bench.submit("1.0.0", &digest).await?;
    let reason = red(bench.ended(&run, &StageName::Publish).await?);
    assert!(
        reason.contains("org.opencontainers.image.version is \"0.9.0\""),
        "{reason}"
    );
    assert_eq!(bench.tagged(&bench.development, "1.0.0-rc.1").await?, None);
    assert!(bench.releases().await?.versions.is_empty());
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_job_publishes_once() -> Result<()> {
    let bench = Bench::start().await?;
    let digest = bench.image("1.0.0", "one").await?.descriptor().digest;
    let run = bench.submit("1.0.0", &digest).await?;
    for _ in 0..3 {
        bench.enqueue_again(&run, &StageName::Publish).await?;
    }
    artifact(bench.ended(&run, &StageName::Publish).await?);
    let releases = bench.releases().await?;
    let records: Vec<_> = releases.versions.values().collect();
    assert!(
        records.len() == 1 && records[0].candidates.len() == 1,
        "{records:?}"
    );
    assert_eq!(bench.tagged(&bench.development, "1.0.0-rc.2").await?, None);
    bench.finish().await
}
