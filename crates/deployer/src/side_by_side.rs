//! Canary and blue-green: the rollouts whose plan goes by steps, with the version before and the new one side by side.

use container_stage::naming::stage_labels;
use container_stage::outcome;
use domain::analysis::subject::Subject;
use domain::ids::{EnvironmentName, ServiceName};
use domain::rollout::{Beginning, Placement, Plan, Rollouts, Router, Step, Terms};
use domain::spec::{Analysis, Strategy, TimeSpan, uncounted};
use domain::stage::{Failure, Outcome};
use worker::Work;

use crate::analysis::{Sources, Watch};
use crate::docker;
use crate::kubernetes;
use crate::on_deploy::{succeeded, with_reason};
use crate::origin::wanted_of;
use crate::service::Deployer;
use crate::steps::{Drive, Driven};
use crate::target::Place;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// How long a step waits for a verdict, after its time.
const PATIENCE: TimeSpan = TimeSpan::from_secs(600);

/// The steps of a rollout that begins. Where there is nothing to shift traffic from (the version that is there is the
/// same, or its configuration is not known any more), replicas are replaced in batches.
pub(crate) async fn plan(
    deployer: &Deployer,
    wanted: &Wanted,
    placement: &Placement,
    rollouts: &Rollouts,
) -> Result<Plan, bus::Error> {
    let Some(current) = rollouts.current() else {
        return Ok(Plan::compile(&wanted.deploy.strategy, Beginning::Nothing));
    };
    let before = wanted_of(deployer, current, &wanted.environment).await?;
    let is_another = before.is_some_and(|before| before.key() != wanted.key());
    let beginning = if placement.is_rollback {
        Beginning::TakenBack
    } else {
        Beginning::Older
    };
    Ok(if is_another {
        Plan::compile(&wanted.deploy.strategy, beginning)
    } else {
        Plan::compile(&Strategy::Rolling(wanted.rolling()), beginning)
    })
}

/// Why nobody could judge a rollout that would begin: what its analysis compares is counted by nobody there. Better now than
/// in a step that waits for requests in vain.
pub(crate) fn unjudgeable(deployer: &Deployer, wanted: &Wanted, plan: &Plan) -> Option<String> {
    let comparisons = analysis(wanted).filter(|_| plan.is_analysed)?.comparisons();
    let place = deployer.targets.of(&wanted.environment);
    let is_uncounted = !comparisons.is_empty() && matches!(place, Ok(Place::Kubernetes(..)));
    is_uncounted.then(|| uncounted(&comparisons, wanted.environment.as_str()))
}

/// Whether a plan is done by replacing replicas, and not by shifting traffic between two sets.
pub(crate) fn is_replacing(plan: &Plan) -> bool {
    matches!(
        plan.steps.as_slice(),
        [] | [Step::BringUp | Step::Roll { .. }]
    )
}

/// Drives the rollout under way to its end; `None` if that can't be done in steps: what was there before is not known
/// any more.
pub(crate) async fn roll_out(
    deployer: &Deployer,
    work: &Work,
    key: &(EnvironmentName, ServiceName),
    wanted: &Wanted,
    started: &Rollouts,
    voice: &Voice<'_>,
) -> Result<Option<Outcome>, bus::Error> {
    let place = deployer.targets.of(&wanted.environment);
    let (Some(before), Some(active), Ok(place)) = (started.current(), &started.active, place)
    else {
        return Ok(None);
    };
    let Some(before) = wanted_of(deployer, before, &wanted.environment).await? else {
        return Ok(None);
    };
    let router = match place {
        Place::Docker(_) => Router::Exact,
        Place::Kubernetes(..) if kubernetes::is_routed(wanted) => Router::Exact,
        Place::Kubernetes(..) => Router::ByReplicas,
    };
    let drive = Drive {
        deployer,
        key,
        run: &active.run,
        terms: terms(wanted, &before, router),
        before: &before.version,
        stop: &work.stop,
        voice,
    };
    let progress = started.progress.as_ref();
    let since = progress.map_or(active.at, |progress| progress.began_at);
    let driven = match place {
        Place::Docker(docker) => {
            let mut sets = docker::sets::Sets::new(docker, &before, wanted, since, voice);
            let sources = docker.sources(wanted, stage_labels(work));
            let preview = docker::names::preview_address(wanted);
            let watch = watch(work, wanted, &before, preview, sources);
            drive.to_the_end(&mut sets, watch).await?
        }
        Place::Kubernetes(kubernetes, target) => {
            let keeps_old = progress.is_some_and(|p| p.plan.keeps_old().is_some());
            let begun = kubernetes::sets::Begun {
                at: since,
                is_again: since > active.at,
            };
            let mut sets = kubernetes::sets::Sets::new(
                kubernetes, target, &before, wanted, begun, keeps_old, voice,
            );
            let preview = kubernetes::preview_address(&before);
            let inside = kubernetes.inside(target, &before, work);
            let inside = inside.routed(router == Router::Exact);
            // What this rollout measures does not depend on it.
            if let Err(why) = inside.clear().await {
                tracing::warn!("no look at checks that are left over: {why}");
            }
            let sources = Sources::in_namespace(inside);
            let watch = watch(work, wanted, &before, preview, sources);
            drive.to_the_end(&mut sets, watch).await?
        }
    };
    Ok(Some(match driven {
        Driven::Complete { address } => succeeded(wanted, address, false),
        Driven::RolledBack {
            reason,
            last_lines,
            how,
        } => {
            let failure = Failure {
                last_lines,
                ..Failure::because(reason.clone())
            };
            with_reason(how, failure, reason)
        }
        // Another deployer, or this one after its restart, goes on from what is there.
        Driven::Interrupted => outcome::broken("the deployer stopped in the middle of the rollout"),
        Driven::Broken(reason) => outcome::broken(reason),
        Driven::Elsewhere => outcome::broken("somebody else ended the rollout"),
    }))
}

fn terms(wanted: &Wanted, before: &Wanted, router: Router) -> Terms {
    Terms {
        replicas: wanted.deploy.replicas.max(1),
        stable_replicas: before.deploy.replicas.max(1),
        router,
        deadline: time(wanted.deadline()),
        drain: time(wanted.drain().max(before.drain())),
        patience: analysis(wanted).map_or(PATIENCE, Watch::patience),
    }
}

/// What is watched while the steps last.
fn analysis(wanted: &Wanted) -> Option<&Analysis> {
    match &wanted.deploy.strategy {
        Strategy::Rolling(_) => None,
        Strategy::BlueGreen(blue_green) => blue_green.analysis.as_ref(),
        Strategy::Canary(canary) => canary.analysis.as_ref(),
    }
}

fn watch(
    work: &Work,
    wanted: &Wanted,
    before: &Wanted,
    preview: String,
    sources: Sources,
) -> Option<Watch> {
    let subject = Subject {
        service: wanted.service.clone(),
        environment: wanted.environment.clone(),
        version: wanted.version.clone(),
        stable: before.version.clone(),
        address: preview,
    };
    Some(Watch::new(
        analysis(wanted)?,
        subject,
        sources,
        work.attempt,
    ))
}

fn time(time: std::time::Duration) -> TimeSpan {
    TimeSpan::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
