//! Stage `unit-test`: the team's unit tests, in the workspace that the build left or in an image of their own.

use domain::stage::StageResult;

use crate::attempt::Attempt;
use crate::ended::Stopped;
use crate::place::Place;
use crate::suite::{self, Suite, env_of};

pub(crate) async fn on_unit_test(attempt: &Attempt<'_>) -> Result<StageResult, Stopped> {
    let Some(unit) = &attempt.work.created().spec.test.unit else {
        return Err(Stopped::red("the service file has no section `test.unit`"));
    };
    let Some(place) = Place::of(&attempt.work.run, unit.image.as_deref()) else {
        return Err(Stopped::red(
            "there is nothing to run the unit tests in: add a `build` section to slipway.yaml, or name an image with \
             `test.unit.image`",
        ));
    };
    let suite = Suite {
        place,
        run: &unit.run,
        reports: &unit.reports,
        env: env_of(&unit.env),
        network: None,
        resources: unit.resources,
    };
    suite::run(attempt, suite).await
}
