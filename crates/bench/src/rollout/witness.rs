//! Somebody who asks a service all the time, and remembers who answered when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Requests at a time, and the pause of each asker between two.
const ASKERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// Who has no answer by then gets none.
const SLOWEST: Duration = Duration::from_secs(5);

/// What was seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// When a body was last answered.
    last: HashMap<String, Instant>,
}

pub(crate) struct Witness {
    seen: Arc<Mutex<Seen>>,
    /// Nobody asks any more when this is dropped.
    stop: DropGuard,
    askers: TaskTracker,
}

impl Witness {
    pub(crate) fn start(url: &str) -> Self {
        let (seen, stop) = (
            Arc::new(Mutex::new(Seen::default())),
            CancellationToken::new(),
        );
        let askers = TaskTracker::new();
        for _ in 0..ASKERS {
            let (url, seen) = (url.to_owned(), seen.clone());
            askers.spawn(stop.clone().run_until_cancelled_owned(ask(url, seen)));
        }
        let stop = stop.drop_guard();
        Self { seen, stop, askers }
    }

    /// When an answer was last seen.
    pub(crate) fn last(&self, body: &str) -> Option<Instant> {
        self.seen.lock().expect("no panic").last.get(body).copied()
    }

    /// Waits until it is answered from now on.
    pub(crate) async fn until_answered(&self, body: &str) -> Result<()> {
        let began = Instant::now();
        while self.last(body).is_none_or(|last| last < began) {
            ensure!(began.elapsed() < PATIENCE, "nobody answers {body}");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    pub(crate) async fn stop(self) -> Seen {
        drop(self.stop);
        self.askers.close();
        self.askers.wait().await;
        self.seen.lock().expect("no panic").clone()
    }
}

/// Asks for ever. The first answers don't count as failures: a new address is known a moment later.
async fn ask(url: String, seen: Arc<Mutex<Seen>>) {
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http::<Empty<Bytes>>();
    let mut has_begun = false;
    loop {
        let answer = async {
            let answer = client.get(url.parse()?).await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::Ok(String::from_utf8_lossy(&body).trim().to_owned())
        };
        let answer = tokio::time::timeout(SLOWEST, answer).await;
        {
            let mut seen = seen.lock().expect("no panic");
            match answer {
                Ok(Ok(body)) => {
                    has_begun = true;
                    seen.requests += 1;
                    seen.last.insert(body, Instant::now());
                }
                _ if has_begun => {
                    seen.requests += 1;
                    seen.failed += 1;
                }
                _ => {}
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
