//! Rollouts: look, follow, and let them wait, go on, go back or begin again.

mod view;

use std::sync::Arc;

use bus::EventSubject;
use bus::aggregates::Aggregate as _;
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::rollout::{Event, Rollouts};
use domain::run::{Actor, Refusal};
use futures::stream;
use jiff::Timestamp;
use proto::event::WireEvent as _;
use proto::gateway::v1::rollout_service_server::RolloutService;
use proto::gateway::v1::{
    AbortRolloutRequest, GetRolloutRequest, ListRolloutsRequest, ListRolloutsResponse,
    PauseRolloutRequest, PromoteRolloutRequest, ResumeRolloutRequest, RetryRolloutRequest, Rollout,
    WatchRolloutRequest,
};
use service_kit::grpc::caller;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::runs::short;
use super::watch::{Answers, stopping};
use super::{Questions, paging};
use crate::Error;
use crate::error::not_updated;
use crate::projection::{Changes, Projection};
use crate::rollouts::{History, Record};

type Key = (EnvironmentName, ServiceName);

#[tonic::async_trait]
impl RolloutService for Questions {
    async fn list_rollouts(
        &self,
        request: Request<ListRolloutsRequest>,
    ) -> Result<Response<ListRolloutsResponse>, Status> {
        let request = request.into_inner();
        let environment = match request.environment.as_str() {
            "" => None,
            name => Some(self.environment(name)?),
        };
        let service: Option<ServiceName> = match request.service.as_str() {
            "" => None,
            name => Some(name.parse().map_err(Error::from)?),
        };
        self.projection.caught_up().await?;
        if let Some(service) = &service {
            self.knows_service(service)?;
        }
        let histories = self.projection.rollouts();
        let mut found: Vec<(&Key, &History, &Arc<Record>)> = Vec::new();
        for (key, history) in &histories {
            let is_wanted = environment.as_ref().is_none_or(|e| *e == key.0)
                && service.as_ref().is_none_or(|s| *s == key.1);
            if is_wanted {
                let records = history.records.iter();
                let wanted = records.filter(|record| !request.active_only || !record.is_over());
                found.extend(wanted.map(|record| (key, &**history, record)));
            }
        }
        found.sort_by_key(|(_, _, record)| place(record));
        let page = paging::page(request.page_size, request.page_token);
        let from = match &page.token {
            None => 0,
            Some(token) => {
                let last = from_token(token).ok_or_else(|| {
                    Error::field("page_token", "it is not one that an earlier answer gave")
                })?;
                found.partition_point(|(_, _, record)| place(record) <= last)
            }
        };
        let is_more = found.len() > from.saturating_add(page.size);
        let shown = found.get(from..).unwrap_or_default();
        let shown = &shown[..shown.len().min(page.size)];
        let next_page_token = shown.last().filter(|_| is_more);
        Ok(Response::new(ListRolloutsResponse {
            rollouts: shown
                .iter()
                .map(|(key, history, record)| view::rollout(key, record, history))
                .collect(),
            next_page_token: next_page_token
                .map(|(_, _, record)| to_token(place(record)))
                .unwrap_or_default(),
        }))
    }

    async fn get_rollout(
        &self,
        request: Request<GetRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let GetRolloutRequest {
            service,
            environment,
            run_id,
        } = request.into_inner();
        let found = self.rollout(&environment, &service, &run_id).await?;
        Ok(Response::new(found.view()))
    }

    type WatchRolloutStream = Answers<Rollout>;

    async fn watch_rollout(
        &self,
        request: Request<WatchRolloutRequest>,
    ) -> Result<Response<Answers<Rollout>>, Status> {
        let WatchRolloutRequest {
            service,
            environment,
            run_id,
        } = request.into_inner();
        // From before the first look, so that nothing is missed in between.
        let changes = self.projection.changes();
        let found = self.rollout(&environment, &service, &run_id).await?;
        let watch = Watch {
            projection: self.projection.clone(),
            changes,
            stop: self.stop.clone(),
            found,
            shown: None,
            is_over: false,
        };
        Ok(Response::new(Box::pin(stream::unfold(
            watch,
            |mut watch| async move {
                let answer = watch.next().await?;
                Some((answer, watch))
            },
        ))))
    }

    async fn pause_rollout(
        &self,
        request: Request<PauseRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let by = Actor(caller(&request)?.0);
        let request = request.into_inner();
        let reason = given(&request.reason, "paused", &by)?;
        let asked = Asked::of(&request.environment, &request.service, &request.run_id);
        let decide =
            |rollouts: &Rollouts, run: &RunId| rollouts.pause(run, &by, &reason, Timestamp::now());
        Ok(Response::new(self.ask_rollout(asked, decide).await?))
    }

    async fn resume_rollout(
        &self,
        request: Request<ResumeRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let by = Actor(caller(&request)?.0);
        let request = request.into_inner();
        let asked = Asked::of(&request.environment, &request.service, &request.run_id);
        let decide = |rollouts: &Rollouts, run: &RunId| rollouts.resume(run, &by, Timestamp::now());
        Ok(Response::new(self.ask_rollout(asked, decide).await?))
    }

    async fn promote_rollout(
        &self,
        request: Request<PromoteRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let by = Actor(caller(&request)?.0);
        let request = request.into_inner();
        let asked = Asked::of(&request.environment, &request.service, &request.run_id);
        let decide = |rollouts: &Rollouts, run: &RunId| {
            rollouts.promote(run, &by, request.full, Timestamp::now())
        };
        Ok(Response::new(self.ask_rollout(asked, decide).await?))
    }

    async fn abort_rollout(
        &self,
        request: Request<AbortRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let by = Actor(caller(&request)?.0);
        let request = request.into_inner();
        let reason = given(&request.reason, "aborted", &by)?;
        let asked = Asked::of(&request.environment, &request.service, &request.run_id);
        let decide =
            |rollouts: &Rollouts, run: &RunId| rollouts.abort(run, &by, &reason, Timestamp::now());
        Ok(Response::new(self.ask_rollout(asked, decide).await?))
    }

    async fn retry_rollout(
        &self,
        request: Request<RetryRolloutRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let by = Actor(caller(&request)?.0);
        let request = request.into_inner();
        let asked = Asked::of(&request.environment, &request.service, &request.run_id);
        let decide = |rollouts: &Rollouts, run: &RunId| rollouts.retry(run, &by, Timestamp::now());
        Ok(Response::new(self.ask_rollout(asked, decide).await?))
    }
}

/// The place in a list: under way or not, then the newest first.
fn place(record: &Record) -> (bool, std::cmp::Reverse<u64>) {
    (record.is_over(), std::cmp::Reverse(record.sequence))
}

fn to_token((is_over, sequence): (bool, std::cmp::Reverse<u64>)) -> String {
    let part = if is_over { "ended" } else { "active" };
    format!("{part}-{}", sequence.0)
}

fn from_token(token: &str) -> Option<(bool, std::cmp::Reverse<u64>)> {
    let (part, sequence) = token.split_once('-')?;
    let is_over = match part {
        "ended" => true,
        "active" => false,
        _ => return None,
    };
    Some((is_over, std::cmp::Reverse(sequence.parse().ok()?)))
}

/// The reason that somebody gave. One who gave none is one, too: it stands where people read why.
fn given(reason: &str, what: &str, by: &Actor) -> Result<String, Error> {
    short("reason", reason)?;
    Ok(match reason.trim() {
        "" => format!("{what} by {}", by.0),
        reason => reason.to_owned(),
    })
}

/// Whose rollout somebody asks something of.
struct Asked<'a> {
    environment: &'a str,
    service: &'a str,
    /// Empty: the one under way.
    run: &'a str,
}

impl<'a> Asked<'a> {
    fn of(environment: &'a str, service: &'a str, run: &'a str) -> Self {
        Self {
            environment,
            service,
            run,
        }
    }
}

/// A rollout with its surroundings.
struct Found {
    key: Key,
    history: Arc<History>,
    record: Arc<Record>,
}

impl Found {
    fn view(&self) -> Rollout {
        view::rollout(&self.key, &self.record, &self.history)
    }
}

impl Questions {
    fn rollout_key(&self, environment: &str, service: &str) -> Result<Key, Error> {
        for (field, text) in [("service", service), ("environment", environment)] {
            if text.is_empty() {
                return Err(Error::field(field, "say which one"));
            }
        }
        Ok((self.environment(environment)?, service.parse()?))
    }

    async fn rollout(&self, environment: &str, service: &str, run: &str) -> Result<Found, Error> {
        let run: Option<RunId> = match run {
            "" => None,
            id => Some(id.parse()?),
        };
        if let Some(run) = &run
            && (environment.is_empty() || service.is_empty())
        {
            return self.rollout_of_run(run, environment, service).await;
        }
        let key = self.rollout_key(environment, service)?;
        let Some(history) = self.rollouts.get(&key).await? else {
            self.projection.caught_up().await?;
            self.knows_service(&key.1)?;
            return Err(Error::not_found(format!(
                "{} was never rolled out to {}",
                key.1, key.0
            )));
        };
        if let Some(record) = history.newest(run.as_ref()).cloned() {
            let history = Arc::new(history);
            return Ok(Found {
                key,
                history,
                record,
            });
        }
        // It may be one of those that memory does not keep.
        let history = Arc::new(self.whole_history(&key).await?);
        match history.newest(run.as_ref()).cloned() {
            Some(record) => Ok(Found {
                key,
                history,
                record,
            }),
            None => Err(Error::not_found(format!(
                "run {} did not roll {} out to {}; `slipway rollout list --service {1}` shows what was",
                run.map(|run| run.to_string()).unwrap_or_default(),
                key.1,
                key.0
            ))),
        }
    }

    /// The newest rollout of a run, wherever it is.
    async fn rollout_of_run(
        &self,
        run: &RunId,
        environment: &str,
        service: &str,
    ) -> Result<Found, Error> {
        self.projection.caught_up().await?;
        let histories = self.projection.rollouts().into_iter();
        let here = histories.filter(|((e, s), _)| {
            (environment.is_empty() || e.as_str() == environment)
                && (service.is_empty() || s.as_str() == service)
        });
        let of_run = here.filter_map(|(key, history)| {
            let record = history.newest(Some(run)).cloned()?;
            Some(Found {
                key,
                history,
                record,
            })
        });
        of_run
            .max_by_key(|found| found.record.sequence)
            .ok_or_else(|| {
                Error::not_found(format!(
                    "no rollout of run {run} is among the newest; name its service and environment"
                ))
            })
    }

    async fn whole_history(&self, key: &Key) -> Result<History, Error> {
        let subject: EventSubject = History::subject(key);
        let stored = self.bus.events().load(&subject, 0).await?;
        let events = stored.iter().filter_map(|stored| {
            let event = Event::decode(&stored.payload).ok()?;
            Some((stored.sequence, event))
        });
        Ok(
            events.fold(History::default(), |history, (sequence, event)| {
                history.apply(sequence, event)
            }),
        )
    }

    /// Appends what `decide` makes of the rollout under way.
    async fn ask_rollout(
        &self,
        asked: Asked<'_>,
        mut decide: impl FnMut(&Rollouts, &RunId) -> Result<Event, Refusal>,
    ) -> Result<Rollout, Error> {
        let key = self.rollout_key(asked.environment, asked.service)?;
        let named: Option<RunId> = match asked.run {
            "" => None,
            id => Some(id.parse()?),
        };
        let subject = format!("rollout of {} in {}", key.1, key.0);
        let updated = self
            .rollouts
            .update(&key, |history| {
                let Some(history) = history else {
                    return Ok(None);
                };
                let run = match (&named, &history.rollouts.active) {
                    (Some(run), _) => run,
                    (None, Some(active)) => &active.run,
                    (None, None) => return Err(not_under_way(&key, history)),
                };
                decide(&history.rollouts, run).map(Some)
            })
            .await
            .map_err(|error| not_updated(subject.clone(), error))?;
        let history = Arc::new(updated.state);
        self.projection
            .reaches(history.rollouts.last_sequence)
            .await;
        let record = history.newest(named.as_ref()).cloned();
        let record = record.ok_or_else(|| Error::not_found(format!("there is no {subject}")))?;
        let found = Found {
            key,
            history,
            record,
        };
        Ok(found.view())
    }
}

fn not_under_way((environment, service): &Key, history: &History) -> Refusal {
    let last = match history.records.last() {
        Some(last) => format!(
            "; the last one, of {} by run {}, {}",
            last.placement.version,
            last.placement.run,
            if last.is_restoring {
                "is being taken out again"
            } else {
                "is over"
            }
        ),
        None => String::new(),
    };
    Refusal {
        why: format!("no rollout of {service} is under way in {environment}{last}"),
    }
}

/// One rollout, followed until it has ended.
struct Watch {
    projection: Projection,
    changes: Changes,
    stop: CancellationToken,
    found: Found,
    /// The sequence of the event that was shown last.
    shown: Option<u64>,
    is_over: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Rollout, Status>> {
        while !self.is_over {
            self.look();
            let sequence = self.found.history.rollouts.last_sequence;
            if self.shown.is_none_or(|shown| shown < sequence) {
                self.shown = Some(sequence);
                self.is_over = self.found.record.is_over();
                return Some(Ok(self.found.view()));
            }
            tokio::select! {
                () = self.changes.next() => {}
                () = self.stop.cancelled() => {
                    self.is_over = true;
                    return Some(Err(stopping()));
                }
            }
        }
        None
    }

    fn look(&mut self) {
        let Some(history) = self.projection.rollouts_of(&self.found.key) else {
            return;
        };
        if history.rollouts.last_sequence <= self.found.history.rollouts.last_sequence {
            return;
        }
        let begun = self.found.record.sequence;
        let same = history.records.iter().rev().find(|r| r.sequence == begun);
        if let Some(record) = same {
            self.found.record = Arc::clone(record);
            self.found.history = history;
        }
    }
}
