//! One run, followed until it has ended.

use std::pin::Pin;

use domain::run::Run;
use futures::{Stream, stream};
use proto::gateway::v1;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::projection::{Changes, Projection};

/// A stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a stream says when the gateway stops.
pub(super) fn stopping() -> Status {
    Status::unavailable("the gateway is being stopped; ask again")
}

struct Watch {
    projection: Projection,
    changes: Changes,
    stop: CancellationToken,
    run: Run,
    shown: u64,
    over: bool,
}

/// The run as it is, and again at every change until it has ended.
pub(super) fn watch(run: Run, projection: Projection, stop: CancellationToken) -> Answers<v1::Run> {
    let changes = projection.changes();
    let watch = Watch {
        projection,
        changes,
        stop,
        run,
        shown: 0,
        over: false,
    };
    Box::pin(stream::unfold(watch, |mut watch| async move {
        let answer = watch.next().await?;
        Some((answer, watch))
    }))
}

impl Watch {
    async fn next(&mut self) -> Option<Result<v1::Run, Status>> {
        while !self.over {
            if let Some(run) = self
                .projection
                .run(&self.run.id)
                .filter(|run| run.last_sequence > self.run.last_sequence)
            {
                self.run = Run::clone(&run);
            }
            if self.run.last_sequence > self.shown {
                self.shown = self.run.last_sequence;
                self.over = self.run.state().is_ended();
                return Some(Ok(proto::view::run(&self.run)));
            }
            tokio::select! {
                () = self.changes.next() => {}
                () = self.stop.cancelled() => {
                    self.over = true;
                    return Some(Err(stopping()));
                }
            }
        }
        None
    }
}
