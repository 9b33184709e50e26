//! Stage `integration-test:<environment>`: tests of the deployed service together with the others there.

use domain::ids::EnvironmentName;
use domain::platform::Target;
use domain::spec::Resources;
use domain::stage::StageResult;

use crate::attempt::Attempt;
use crate::ended::Stopped;
use crate::place::{Place, image_under_test};
use crate::suite::{self, Suite, env_of};

pub(crate) async fn on_integration_test(
    attempt: &Attempt<'_>,
    environment: &EnvironmentName,
) -> Result<StageResult, Stopped> {
    let Some(tests) = &attempt.work.created().spec.test.integration else {
        return Err(Stopped::red(
            "the service file has no section `test.integration`",
        ));
    };
    let run = &attempt.work.run;
    let under_test = || image_under_test(run).map(Place::Image);
    let Some(place) = Place::of(run, tests.image.as_deref()).or_else(under_test) else {
        return Err(Stopped::red(
            "there is nothing to run the integration tests in: name an image with `test.integration.image` in \
             slipway.yaml",
        ));
    };
    let mut env = env_of(&tests.env);
    env.insert("SLIPWAY_ENVIRONMENT".to_owned(), environment.to_string());
    let suite = Suite {
        place,
        run: &tests.run,
        reports: &tests.reports,
        env,
        network: Some(network(attempt, environment)?),
        resources: Resources::default(),
    };
    suite::run(attempt, suite).await
}

/// The network in which an environment's services find each other by name.
pub(crate) fn network(
    attempt: &Attempt<'_>,
    environment: &EnvironmentName,
) -> Result<String, Stopped> {
    let planned = attempt.work.created().plan.environment(environment);
    match planned.map(|planned| &planned.target) {
        Some(Target::Docker(_)) => Ok(format!("slipway-{environment}")),
        Some(_) | None => Err(Stopped::red(format!(
            "tests against the environment {environment} need a docker target; take `integration` and `load` out of \
             `test` in slipway.yaml, or give the environment a docker target in the platform file"
        ))),
    }
}
