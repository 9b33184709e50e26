//! What the README promises of docker-compose.yml, with the images built from this checkout.

mod composition;
mod prerequisites;

use anyhow::Result;
use composition::Composition;
use slipway_tests::cli::text;
use slipway_tests::{http_client, services};

/// A build, and a test that leaves time enough to be killed in.
const STAGES: &str = "\
build: { image: \"slipway-test/busybox:1\", run: [echo whole > built.txt] }
test: { unit: { run: [grep whole built.txt, sleep 4] } }
";

#[tokio::test(flavor = "multi_thread")]
async fn compose_comes_up_healthy_takes_runs_outlives_a_crash_of_everything_and_goes_without_a_trace()
-> Result<()> {
    let repository = services::small("orders", STAGES)?;
    let Some(here) = Composition::of(repository.path())? else {
        return Ok(());
    };
    here.compose(&["up", "--detach", "--build"])?;
    here.is_healthy().await?;

    let start = ["run", "start", "--ref", "main", "--repository"];
    let run = here.slipway_in_compose(&[&start[..], &[here.repository(), "--wait"]].concat())?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    here.answers("0.1.0 hello").await?;

    repository.commit("fix: Again")?;
    let begun = here.slipway(&[&start[..], &[here.repository()]].concat())?;
    let id = text(&begun, "run_id");
    here.stage_begins(id, "unit-test").await?;
    here.kill_everything()?;
    let run = here.at_rest(id).await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    here.answers("0.1.1 hello").await?;
    here.is_healthy().await?;

    let address = here.address()?;
    here.compose(&["down", "--volumes"])?;
    for kind in ["container", "network", "volume"] {
        assert_eq!(here.left(kind)?, "", "compose left a {kind}");
    }
    let still = http_client::get(&address).await?;
    assert_eq!(still.trim(), "0.1.1 hello", "what was deployed stays");
    here.passes();
    Ok(())
}
