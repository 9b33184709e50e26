//! The readiness checks of one backend, from its first appearance in a table until it leaves.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    backend::Backend,
    error::chain,
    probe::{self, ProbeError, Question},
    readiness::Seen,
    router::Router,
    table::Readiness,
};

const WHILE_READY: Duration = Duration::from_secs(2);
const WHILE_NOT_READY: Duration = Duration::from_millis(250);
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn run(router: Arc<Router>, backend: Arc<Backend>) {
    let question = match &backend.spec.ready {
        Readiness::Http(path) => Question::Http {
            path: path.clone(),
            expect: None,
        },
        Readiness::Tcp(_) => Question::Tcp,
    };
    let checks = async {
        loop {
            let answer = probe::once(
                &question,
                &backend.authority,
                &backend.endpoint,
                CHECK_TIMEOUT,
            )
            .await;
            if backend.observe(seen(answer)) {
                router.readiness_changed();
            }
            let readiness = backend.readiness();
            let settled = readiness.ready && readiness.consecutive_failures == 0;
            let pause = if settled {
                WHILE_READY
            } else {
                WHILE_NOT_READY
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = backend.check.notified() => sleep(WHILE_NOT_READY).await,
            }
        }
    };
    backend.removed.run_until_cancelled(checks).await;
}

fn seen(answer: Result<(), ProbeError>) -> Seen {
    match answer {
        Ok(()) => Seen::Ready,
        Err(error @ ProbeError::Late { .. }) => Seen::Late(chain(&error)),
        Err(error) => Seen::Not(chain(&error)),
    }
}
