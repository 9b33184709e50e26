//! Handlers that do what a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::run::Run;
use domain::stage::{Failure, JobKind, Outcome, StageName, StageResult};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use worker::{Admit, StageHandler, Work};

type Do = dyn Fn(Work) -> BoxFuture<'static, Outcome> + Send + Sync;
type Ask = dyn Fn(&StageName, u32) -> Admit + Send + Sync;

/// What a handler does. Clones share the journal.
#[derive(Clone)]
pub(crate) struct Script {
    doing: Arc<Do>,
    admitting: Arc<Ask>,
    journal: Arc<Mutex<Journal>>,
}

#[derive(Default)]
struct Journal {
    begun: Vec<String>,
    asked: u32,
}

impl Script {
    pub(crate) fn new<F>(doing: impl Fn(Work) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            doing: Arc::new(move |work| doing(work).boxed()),
            admitting: Arc::new(|_, _| Admit::Now),
            journal: Arc::default(),
        }
    }

    /// Succeeds at once.
    pub(crate) fn good() -> Self {
        Self::new(|_| async { success() })
    }

    /// Works until it is told to stop, and then says so.
    pub(crate) fn endless() -> Self {
        Self::new(|work| async move {
            work.stop.token().cancelled().await;
            work.stop.outcome().expect("it was told to stop")
        })
    }

    /// Begins with an attempt that goes on until it is told to stop; every other succeeds at once.
    pub(crate) fn endless_at_first() -> Self {
        Self::new(|work| async move {
            if work.attempt > 1 {
                return success();
            }
            work.stop.token().cancelled().await;
            work.stop.outcome().expect("it was told to stop")
        })
    }

    /// `admit` is given how often it was asked before.
    pub(crate) fn admitting(
        mut self,
        admit: impl Fn(&StageName, u32) -> Admit + Send + Sync + 'static,
    ) -> Self {
        self.admitting = Arc::new(admit);
        self
    }

    /// `<run>/<stage>/<attempt>` of every attempt that was begun.
    pub(crate) fn begun(&self) -> Vec<String> {
        self.journal.lock().expect("nobody panicked").begun.clone()
    }

    pub(crate) fn asked(&self) -> u32 {
        self.journal.lock().expect("nobody panicked").asked
    }

    fn admit(&self, stage: &StageName) -> Admit {
        let asked = {
            let mut journal = self.journal.lock().expect("nobody panicked");
            journal.asked += 1;
            journal.asked - 1
        };
        (self.admitting)(stage, asked)
    }

    fn handle(&self, work: Work) -> BoxFuture<'static, Outcome> {
        let line = format!("{}/{}/{}", work.run.id, work.stage, work.attempt);
        self.journal
            .lock()
            .expect("nobody panicked")
            .begun
            .push(line);
        (self.doing)(work)
    }
}

macro_rules! handler {
    ($(#[$doc:meta])* $name:ident, $kind:expr) => {
        $(#[$doc])*
        pub(crate) struct $name(pub(crate) Script);

        impl StageHandler for $name {
            const KIND: JobKind = $kind;
            const CLEAN_UP: Duration = Duration::from_secs(2);

            async fn admit(&self, _: &Run, stage: &StageName) -> Admit {
                self.0.admit(stage)
            }

            async fn handle(&self, work: Work) -> Outcome {
                self.0.handle(work).await
            }
        }
    };
}

handler!(
    /// Does `build` and `image`.
    Builds,
    JobKind::Build
);
handler!(
    /// Does the tests.
    Tests,
    JobKind::Test
);

pub(crate) fn success() -> Outcome {
    Outcome::Succeeded(Box::new(StageResult {
        summary: "done".to_owned(),
        ..StageResult::default()
    }))
}

pub(crate) fn errored(reason: &str, retryable: bool) -> Outcome {
    Outcome::Errored {
        failure: Box::new(Failure::because(reason)),
        retryable,
    }
}
