//! Runs: start, look, cancel, retry, review.

use domain::ids::EnvironmentName;
use domain::run::{Actor, Refusal, Run, RunState, Trigger};
use jiff::Timestamp;
use proto::gateway::v1::run_service_server::RunService;
use proto::gateway::v1::{
    CancelRunRequest, GetRunRequest, ListRunsRequest, ListRunsResponse, LogLines, ReadLogsRequest,
    RetryRunRequest, ReviewRunRequest, Run as PublicRun, StartRunRequest, StartRunResponse,
    WatchRunRequest,
};
use service_kit::grpc::caller;
use source::{RefName, RepositoryUrl};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::watch::Answers;
use super::{Questions, logs, paging, watch};
use crate::Error;
use crate::intake::{CommitRequest, Unreachable};
use crate::projection::RunFilter;

/// The longest text that a person may give as a reason or an id.
const LONGEST_TEXT: usize = 2_000;

#[tonic::async_trait]
impl RunService for Questions {
    async fn start_run(
        &self,
        request: Request<StartRunRequest>,
    ) -> Result<Response<StartRunResponse>, Status> {
        let actor = Actor(caller(&request)?.0);
        let request = commit_request(request.into_inner(), actor)?;
        // In a task of its own: a caller that goes away must not leave half of it.
        let intake = self.intake.clone();
        let accepting = self
            .tasks
            .spawn(async move { intake.accept(&request).await });
        let accepted = accepting
            .await
            .map_err(|error| Status::internal(format!("the commit was not taken in: {error}")))?;
        let runs = accepted?;
        Ok(Response::new(StartRunResponse {
            runs: runs.iter().map(proto::view::run).collect(),
        }))
    }

    async fn get_run(
        &self,
        request: Request<GetRunRequest>,
    ) -> Result<Response<PublicRun>, Status> {
        let run = self.run(&request.into_inner().run_id).await?;
        Ok(Response::new(watch::view(&run, &self.projection)))
    }

    async fn list_runs(
        &self,
        request: Request<ListRunsRequest>,
    ) -> Result<Response<ListRunsResponse>, Status> {
        let request = request.into_inner();
        let filter = filter(&request)?;
        self.projection.caught_up().await?;
        if let Some(service) = &filter.service {
            self.knows_service(service)?;
        }
        let page = paging::page(request.page_size, request.page_token);
        let (runs, token) = self.projection.runs(&filter, &page)?;
        let runs = runs.iter().map(|run| proto::view::run(run)).collect();
        Ok(Response::new(ListRunsResponse {
            runs,
            next_page_token: token.unwrap_or_default(),
        }))
    }

    type WatchRunStream = Answers<PublicRun>;

    async fn watch_run(
        &self,
        request: Request<WatchRunRequest>,
    ) -> Result<Response<Answers<PublicRun>>, Status> {
        let run = self.run(&request.into_inner().run_id).await?;
        Ok(Response::new(watch::watch(
            run,
            self.projection.clone(),
            self.stop.clone(),
        )))
    }

    async fn cancel_run(
        &self,
        request: Request<CancelRunRequest>,
    ) -> Result<Response<PublicRun>, Status> {
        let by = Actor(caller(&request)?.0);
        let request = request.into_inner();
        short("reason", &request.reason)?;
        let run = self
            .change(&request.run_id, |run| {
                run.cancel(&by, &request.reason, Timestamp::now())
            })
            .await?;
        Ok(Response::new(proto::view::run(&run)))
    }

    async fn retry_run(
        &self,
        request: Request<RetryRunRequest>,
    ) -> Result<Response<PublicRun>, Status> {
        let by = Actor(caller(&request)?.0);
        let run = self
            .change(&request.into_inner().run_id, |run| {
                run.retry_by(&by, Timestamp::now())
            })
            .await?;
        Ok(Response::new(proto::view::run(&run)))
    }

    type ReadLogsStream = Answers<LogLines>;

    async fn read_logs(
        &self,
        request: Request<ReadLogsRequest>,
    ) -> Result<Response<Answers<LogLines>>, Status> {
        let lines = logs::read(self, request.into_inner()).await?;
        Ok(Response::new(lines))
    }

    async fn review_run(
        &self,
        request: Request<ReviewRunRequest>,
    ) -> Result<Response<PublicRun>, Status> {
        let by = Actor(caller(&request)?.0);
        let request = request.into_inner();
        short("reason", &request.reason)?;
        let asked: Option<EnvironmentName> = match request.environment.as_str() {
            "" => None,
            name => Some(name.parse().map_err(Error::from)?),
        };
        let review = |run: &Run| {
            let environment = reviewed(run, asked.as_ref())?;
            if request.approved {
                run.approve(&environment, &by, &request.reason, Timestamp::now())
            } else {
                run.reject(&environment, &by, &request.reason, Timestamp::now())
            }
        };
        let run = self.change(&request.run_id, review).await?;
        Ok(Response::new(proto::view::run(&run)))
    }
}

/// The environment that a review is about: the one asked for, or the only one that the run waits for.
fn reviewed(run: &Run, asked: Option<&EnvironmentName>) -> Result<EnvironmentName, Refusal> {
    if let Some(environment) = asked {
        return Ok(environment.clone());
    }
    match run.waits_for()[..] {
        [environment] => Ok(environment.clone()),
        [] => Err(Refusal {
            why: format!(
                "run {} waits for nobody's approval; it is {}",
                run.id,
                run.state().name()
            ),
        }),
        ref several => {
            let names: Vec<&str> = several.iter().map(|e| e.as_str()).collect();
            Err(Refusal {
                why: format!(
                    "run {} waits for approval for {}; say for which",
                    run.id,
                    names.join(", ")
                ),
            })
        }
    }
}

fn filter(request: &ListRunsRequest) -> Result<RunFilter, Error> {
    const STATES: [RunState; 6] = [
        RunState::Queued,
        RunState::Running,
        RunState::WaitingForApproval,
        RunState::Succeeded,
        RunState::Failed,
        RunState::Cancelled,
    ];
    let service = match request.service.as_str() {
        "" => None,
        name => Some(name.parse()?),
    };
    let state = match request.state.as_str() {
        "" => None,
        name => Some(
            STATES
                .into_iter()
                .find(|state| state.name() == name)
                .ok_or_else(|| {
                    let names = STATES.map(RunState::name).join(", ");
                    Error::field(
                        "state",
                        format!("{name:?} is no state of a run; there are {names}"),
                    )
                })?,
        ),
    };
    Ok(RunFilter { service, state })
}

fn commit_request(request: StartRunRequest, actor: Actor) -> Result<CommitRequest, Error> {
    if request.repository.trim().is_empty() {
        return Err(Error::field(
            "repository",
            "say which one: a Git URL, or an absolute path that the gateway can read",
        ));
    }
    for (field, text) in [
        ("request_id", &request.request_id),
        ("proposal", &request.proposal),
    ] {
        short(field, text)?;
    }
    let reference = match request.reference.as_str() {
        "" => None,
        name => Some(RefName::parse(name).map_err(|error| Error::field("reference", error))?),
    };
    let service = match request.service.as_str() {
        "" => None,
        name => Some(name.parse()?),
    };
    let delivery = match request.request_id.as_str() {
        "" => Uuid::now_v7().hyphenated().to_string(),
        id => id.to_owned(),
    };
    Ok(CommitRequest {
        repository: RepositoryUrl::parse(&request.repository)
            .map_err(|error| Error::field("repository", error))?,
        reference,
        commit: None,
        before: None,
        target: None,
        service,
        proposal: (!request.proposal.is_empty()).then_some(request.proposal),
        fresh: request.fresh,
        only_releasable: None,
        trigger: Trigger {
            via: "grpc".to_owned(),
            delivery,
            actor,
        },
        unreachable: Unreachable::Refuse,
    })
}

pub(super) fn short(field: &'static str, text: &str) -> Result<(), Error> {
    if text.len() <= LONGEST_TEXT
        && !text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
    {
        return Ok(());
    }
    Err(Error::field(
        field,
        format!("it is longer than {LONGEST_TEXT} bytes, or has control characters in it"),
    ))
}
