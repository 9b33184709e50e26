//! Takes commits from the inbox, where webhooks and anyone on NATS put them, and makes runs of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Delivery, DeliveryOptions};
use domain::run::{Actor, Trigger};
use source::{CommitId, RefName};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;
use crate::commit_event::{CommitEvent, CommitEventError, CommitKind};
use crate::error::chain;
use crate::intake::{CommitRequest, DefaultBranch, Intake, Unreachable};

/// Commits handled at a time.
const AT_A_TIME: usize = 8;
/// How long a commit may be without a sign of life before another gateway gets it.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Deliveries after which a repository that can't be reached is given up: the run is then refused.
const PATIENCE: u64 = 10;
/// Deliveries after which the server stops by itself: more, since the bus may be what fails.
const MAX_DELIVER: u32 = 1_000;

/// Handles commits until `stop` is cancelled; those of one repository in the order in which they came.
///
/// # Errors
/// When the bus is not usable.
pub(crate) async fn consume(
    bus: &Bus,
    intake: &Intake,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let options = DeliveryOptions {
        max_deliver: MAX_DELIVER,
        ..DeliveryOptions::new(AT_A_TIME, ACK_WAIT)
    };
    let mut deliveries = bus.inbox().deliveries(options).await?;
    let tasks = TaskTracker::new();
    let mut repositories: HashMap<String, Arc<Mutex<()>>> = HashMap::new();
    loop {
        let delivery = tokio::select! {
            () = stop.cancelled() => break,
            delivery = deliveries.next() => delivery,
        };
        repositories.retain(|_, lock| Arc::strong_count(lock) > 1);
        let lock = Arc::clone(repositories.entry(repository(&delivery)).or_default());
        // Asked for here and not in the task, so that the tasks of one repository stand in line as they came.
        let mut turn = Box::pin(lock.lock_owned());
        let turn_now = futures::poll!(&mut turn);
        let (intake, stop) = (intake.clone(), stop.clone());
        tasks.spawn(async move {
            let alive = delivery.keep_alive();
            let _turn = match turn_now {
                std::task::Poll::Ready(turn) => turn,
                std::task::Poll::Pending => turn.await,
            };
            tokio::select! {
                // Dropped, it is offered to the next gateway at once.
                () = stop.cancelled() => {}
                () = alive.lost().cancelled() => {}
                verdict = handle(&intake, &delivery) => settle(delivery, verdict).await,
            }
        });
    }
    deliveries.stop();
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// Whose commit it is: a webhook and somebody on NATS may use different subjects for the same repository.
fn repository(delivery: &Delivery) -> String {
    match CommitEvent::from_json(delivery.payload()) {
        Ok(event) => event.repository,
        Err(_) => delivery.subject().to_owned(),
    }
}

/// What is to be done with a delivery.
enum Verdict {
    Done,
    Later(Duration),
    Unreadable(String),
}

async fn handle(intake: &Intake, delivery: &Delivery) -> Verdict {
    let request = match request(delivery) {
        Ok(request) => request,
        Err(error) => return Verdict::Unreadable(error.to_string()),
    };
    match intake.accept(&request).await {
        Ok(_) => Verdict::Done,
        Err(error) if !error.is_retryable() => Verdict::Unreadable(chain(&error)),
        Err(error) => {
            let wait = pause(delivery.delivered());
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, repository.url = %request.repository, "a commit waits {wait:?} for another try");
            Verdict::Later(wait)
        }
    }
}

async fn settle(delivery: Delivery, verdict: Verdict) {
    let settled = match verdict {
        Verdict::Done => delivery.ack().await,
        Verdict::Later(wait) => delivery.retry_after(wait).await,
        Verdict::Unreadable(reason) => delivery.reject(&reason).await,
    };
    if let Err(error) = settled {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            "a commit could not be settled; it comes again, which starts nothing again"
        );
    }
}

/// How long to wait after the delivery with this number: 2, 4, 8, … seconds, a minute at most.
fn pause(delivered: u64) -> Duration {
    Duration::from_secs(
        2u64.saturating_pow(u32::try_from(delivered.clamp(1, 6)).unwrap_or(6))
            .min(60),
    )
}

fn request(delivery: &Delivery) -> Result<CommitRequest, CommitEventError> {
    let event = CommitEvent::from_json(delivery.payload())?;
    let id = match (&event.id, delivery.message_id()) {
        (Some(id), _) => id.clone(),
        (None, Some(message)) => format!("bus:{message}"),
        (None, None) => format!("bus:{}", delivery.sequence()),
    };
    let unreachable = if delivery.delivered() < PATIENCE {
        Unreachable::TryAgain
    } else {
        Unreachable::Refuse
    };
    request_of(&event, id, unreachable)
}

fn request_of(
    event: &CommitEvent,
    delivery: String,
    unreachable: Unreachable,
) -> Result<CommitRequest, CommitEventError> {
    let field =
        |field: &'static str| move |reason: String| CommitEventError::Field { field, reason };
    let reference =
        RefName::parse(&event.reference).map_err(|error| field("ref")(error.to_string()))?;
    let service = event.service.as_deref().map(str::parse).transpose();
    let proposal = match event.kind() {
        CommitKind::Proposal => event.number.map(|number| number.to_string()),
        CommitKind::Push | CommitKind::Tag => None,
    };
    Ok(CommitRequest {
        repository: event.repository_url()?,
        reference: Some(reference),
        commit: event.commit.as_deref().and_then(CommitId::parse),
        before: event
            .before
            .as_deref()
            .and_then(CommitId::parse)
            .filter(|_| event.kind() == CommitKind::Push),
        target: event
            .target_branch
            .as_deref()
            .filter(|_| proposal.is_some())
            .and_then(branch),
        service: service
            .map_err(|error: domain::ids::InvalidId| field("service")(error.to_string()))?,
        proposal,
        fresh: false,
        only_releasable: Some(
            event
                .default_branch
                .clone()
                .map_or(DefaultBranch::Unknown, DefaultBranch::Named),
        ),
        trigger: Trigger {
            via: via(&delivery).to_owned(),
            actor: Actor(event.actor.clone().unwrap_or_else(|| "unknown".to_owned())),
            delivery,
        },
        unreachable,
    })
}

/// The full reference of a branch.
fn branch(name: &str) -> Option<RefName> {
    let name = name.strip_prefix("refs/heads/").unwrap_or(name);
    RefName::parse(&format!("refs/heads/{name}")).ok()
}

/// Which door a delivery came through; webhooks put the forge before its id.
fn via(delivery: &str) -> &str {
    match delivery.split_once(':') {
        Some((forge @ ("github" | "gitlab" | "gitea"), _)) => forge,
        _ => "bus",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_is_asked_for() {
        let commit = "8d1c".repeat(10);
        let json = format!(
            r#"{{"repository": "/srv/orders", "ref": "refs/pull/7/head", "commit": "{commit}", "kind": "proposal",
                "number": 7, "before": "{commit}", "actor": "ada", "service": "orders", "default_branch": "trunk"}}"#
        );
        let event = CommitEvent::from_json(json.as_bytes()).unwrap();
        let request = request_of(&event, "gitea:1".to_owned(), Unreachable::Refuse).unwrap();
        assert_eq!(request.proposal.as_deref(), Some("7"));
        assert_eq!(
            request.commit.as_ref().map(CommitId::as_str),
            Some(commit.as_str())
        );
        assert_eq!(request.before, None);
        assert_eq!(
            request.only_releasable,
            Some(DefaultBranch::Named("trunk".to_owned()))
        );
        assert_eq!(
            (
                request.trigger.via.as_str(),
                request.trigger.actor.0.as_str()
            ),
            ("gitea", "ada")
        );
    }

    #[test]
    fn a_bad_service_name_is_unreadable() {
        let event = CommitEvent::from_json(
            br#"{"repository": "/srv/orders", "ref": "main", "service": "A b"}"#,
        )
        .unwrap();
        let error = request_of(&event, "bus:1".to_owned(), Unreachable::Refuse).unwrap_err();
        assert!(error.to_string().contains("service"), "{error}");
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        let pauses: Vec<u64> = [0, 1, 2, 5, 6, 100].map(|n| pause(n).as_secs()).to_vec();
        assert_eq!(pauses, [2, 2, 4, 32, 60, 60]);
    }
}
