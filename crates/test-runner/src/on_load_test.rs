//! Stage `load-test:<environment>`: requests at a constant rate on the deployed service, inside its environment.

use domain::ids::EnvironmentName;
use domain::stage::StageResult;
use engine::StepExit;

use crate::attempt::Attempt;
use crate::ended::Stopped;
use crate::load::{Measured, judge};
use crate::on_integration_test::network;
use crate::place::image_under_test;
use crate::probe::edge;
use crate::readiness::DEFAULT_PORT;

pub(crate) async fn on_load_test(
    attempt: &Attempt<'_>,
    environment: &EnvironmentName,
) -> Result<StageResult, Stopped> {
    let created = attempt.work.created();
    let Some(test) = &created.spec.test.load else {
        return Err(Stopped::red("the service file has no section `test.load`"));
    };
    let network = network(attempt, environment)?;
    let port = port(attempt).await?;
    let url = format!(
        "http://{}:{port}{}",
        attempt.work.run.change.service, test.path
    );
    let (rate, duration) = (
        test.rate.to_string(),
        format!("{}ms", test.duration.get().as_millis()),
    );
    attempt
        .say(&format!(
            "{rate} requests a second for {} to {url}",
            test.duration
        ))
        .await;
    let argv = [
        "/edge",
        "load",
        "--url",
        &url,
        "--rate",
        &rate,
        "--duration",
        &duration,
    ];
    let (ended, printed) = edge(
        attempt,
        "load",
        &network,
        &argv,
        test.duration.get(),
        attempt.work.stop.token(),
    )
    .await?;
    attempt.say(printed.trim_end()).await;
    match ended.exit {
        StepExit::Exited(0) => {}
        StepExit::Cancelled => return Err(Stopped::Asked),
        _ => {
            return Err(Stopped::Broken(format!(
                "the load generator broke: {}",
                last_line(&printed)
            )));
        }
    }
    let measured: Measured = serde_json::from_str(last_line(&printed)).map_err(|error| {
        Stopped::Broken(format!(
            "the load generator printed no measurement: {error}"
        ))
    })?;
    let summary = judge(test, &measured).map_err(Stopped::red)?;
    Ok(StageResult {
        summary,
        ..StageResult::default()
    })
}

/// Where the service listens: what its file says, or else what its image exposes.
async fn port(attempt: &Attempt<'_>) -> Result<u16, Stopped> {
    if let Some(port) = attempt
        .work
        .created()
        .spec
        .deploy
        .as_ref()
        .and_then(|deploy| deploy.port)
    {
        return Ok(port);
    }
    let Some(image) = image_under_test(&attempt.work.run) else {
        return Ok(DEFAULT_PORT);
    };
    attempt.fetch_image(&image).await?;
    let exposed = attempt.engine().inspect_image(&image).await?.exposed_ports;
    Ok(exposed.into_iter().min().unwrap_or(DEFAULT_PORT))
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it printed nothing")
}
