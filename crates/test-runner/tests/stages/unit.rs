//! Stage `unit-test`.

use std::collections::BTreeMap;

use anyhow::Result;
use domain::stage::{Artifact, Outcome, StageName, TestCounts};
use testkit::git::GitRepository;
use testkit::needs_docker;

use crate::bench::{Bench, green, has_images, red};

const REPORT: &str = r#"<testsuites><testsuite><testcase classname="tests.test_total" name="test_sum">
<failure message="assert 3 == 4">in test_total.py</failure></testcase>
<testcase classname="tests.test_total" name="test_zero"/></testsuite></testsuites>"#;

const DEBIAN: &str = "debian:bookworm-slim";

fn repository(unit: &str) -> Result<GitRepository> {
    let spec = format!("service: delivery\ntest:\n  unit:\n    image: {DEBIAN}\n{unit}");
    GitRepository::with_files(&[
        ("slipway.yaml", &spec),
        ("report.xml", REPORT),
        ("data/a.txt", "a"),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_test_is_named_by_its_report() -> Result<()> {
    needs_docker!();
    if !has_images(&[DEBIAN]) {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let repository = repository(
        "    reports: ['out/**/*.xml']\n    env: { WHO: ada }\n    run: ['test -f data/a.txt', 'mkdir -p out/a', \
         'cp report.xml out/a/junit.xml', 'echo $WHO $CI $SLIPWAY_SERVICE', 'exit 3']\n",
    )?;
    let failure = red(bench
        .outcome(&repository, &StageName::UnitTest, BTreeMap::new())
        .await?);
    assert_eq!(
        failure.reason,
        "1 of 2 tests failed: tests.test_total::test_sum"
    );
    assert_eq!(failure.tests[0].message, "assert 3 == 4\nin test_total.py");
    assert_eq!(
        failure.last_lines.last().map(String::as_str),
        Some("$ exit 3")
    );
    assert!(
        bench
            .log(&StageName::UnitTest)
            .await?
            .contains("ada true delivery")
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passing_tests_are_counted_and_old_reports_are_not_read() -> Result<()> {
    needs_docker!();
    if !has_images(&[DEBIAN]) {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let repository = repository(
        "    reports: [report.xml, new.xml, none.xml]\n    run: [\"echo '<testsuite><testcase \
         name=\\\"a\\\"/></testsuite>' > new.xml\"]\n",
    )?;
    let result = green(
        bench
            .outcome(&repository, &StageName::UnitTest, BTreeMap::new())
            .await?,
    );
    assert_eq!(
        result.tests,
        Some(TestCounts {
            passed: 1,
            failed: 0,
            skipped: 0
        })
    );
    assert_eq!(result.summary, "1 test passed");
    let log = bench.log(&StageName::UnitTest).await?;
    assert!(
        log.contains("/workspace/report.xml is older than these tests"),
        "{log}"
    );
    assert!(log.contains("there is no report none.xml"), "{log}");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tests_that_hang_are_stopped_and_show_their_last_lines() -> Result<()> {
    needs_docker!();
    if !has_images(&[DEBIAN]) {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let repository = repository("    timeout: 5s\n    run: ['echo connecting', 'sleep 600']\n")?;
    let failure = red(bench
        .outcome(&repository, &StageName::UnitTest, BTreeMap::new())
        .await?);
    assert!(failure.reason.contains("time limit of 5 s"), "{failure:?}");
    assert!(
        failure.last_lines.contains(&"connecting".to_owned()),
        "{failure:?}"
    );
    bench.finish().await
}

const BUILT: &str = "service: delivery\nbuild: { image: debian, run: ['true'] }\n\
                     test: { unit: { run: ['test ! -e data.txt', 'pwd'] } }";

fn workspace(image: &str, engine: &str) -> BTreeMap<StageName, Artifact> {
    let (image, engine) = (image.to_owned(), engine.to_owned());
    BTreeMap::from([(StageName::Build, Artifact::Workspace { image, engine })])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workspace_that_the_build_left_is_taken_as_it_is() -> Result<()> {
    needs_docker!();
    if !has_images(&[DEBIAN]) {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let repository = GitRepository::with_files(&[("slipway.yaml", BUILT), ("data.txt", "")])?;
    let workspace = workspace(DEBIAN, bench.engine.id());
    green(
        bench
            .outcome(&repository, &StageName::UnitTest, workspace)
            .await?,
    );
    assert!(
        bench
            .log(&StageName::UnitTest)
            .await?
            .contains("\n/workspace\n")
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_on_another_engine_is_another_test_runners_to_find() -> Result<()> {
    needs_docker!();
    let bench = Bench::start().await?;
    let repository = GitRepository::with_files(&[("slipway.yaml", BUILT)])?;
    let workspace = workspace("slipway-workspace/delivery:none", "elsewhere");
    match bench
        .outcome(&repository, &StageName::UnitTest, workspace)
        .await?
    {
        Outcome::Errored {
            failure,
            retryable: true,
        } => {
            assert!(
                failure
                    .reason
                    .contains("on the container engine elsewhere only"),
                "{failure:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_how_busy_it_is() -> Result<()> {
    needs_docker!();
    let bench = Bench::start().await?;
    let capacity = bench.capacity().await?;
    assert_eq!((capacity.slots, capacity.slots_in_use), (2, 0));
    assert_eq!(capacity.engine_id, bench.engine.id());
    bench.finish().await
}
