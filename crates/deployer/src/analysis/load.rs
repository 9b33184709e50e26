//! Requests of our own, where there are few others: so that both versions get some that can be judged.

use std::sync::Arc;
use std::time::Duration;

use domain::analysis::subject::Subject;
use domain::rollout::Step;
use domain::spec::SyntheticLoad;
use tokio::task::JoinSet;

use super::sources::Sources;

/// By what these requests are told from others.
pub(crate) const USER_AGENT: &str = "slipway-load";
/// The header that names the environment.
pub(crate) const HEADER: &str = "x-slipway-load";
/// How long an answer may take. Slower ones have failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How many may be under way at a time, at most.
const MOST_UNDER_WAY: u32 = 20;
/// For how long requests are sent at once; the last ones may be as late as this.
const LASTING: Duration = Duration::from_secs(5);

/// Whom requests are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The service, as everybody reaches it.
    Service,
    /// The version that comes in, before it gets others.
    Preview,
}

/// Requests at a constant rate.
#[derive(Debug, Clone)]
pub(crate) struct Volley {
    pub(crate) whom: Whom,
    pub(crate) path: String,
    /// Requests a second.
    pub(crate) rate: u32,
    /// How many may be under way at a time.
    pub(crate) under_way: u32,
    /// For how long.
    pub(crate) lasting: Duration,
}

/// The requests of one rollout. They stop when this is dropped.
pub(super) struct Load {
    wanted: Option<SyntheticLoad>,
    sources: Arc<Sources>,
    subject: Arc<Subject>,
    tasks: JoinSet<Result<(), String>>,
    /// What kept them from being sent, the last time.
    trouble: Option<String>,
}

impl Load {
    pub(super) fn new(
        wanted: Option<&SyntheticLoad>,
        sources: Arc<Sources>,
        subject: Arc<Subject>,
    ) -> Self {
        Self {
            wanted: wanted.cloned(),
            sources,
            subject,
            tasks: JoinSet::new(),
            trouble: None,
        }
    }

    /// Sees that requests are sent, as is right in a step; gives what is to be said about it.
    pub(super) fn go_on(&mut self, step: Option<Step>) -> Option<String> {
        let wanted = self.wanted.as_ref()?;
        let mut news = None;
        while let Some(ended) = self.tasks.try_join_next() {
            let ended = ended.unwrap_or_else(|error| Err(error.to_string()));
            if let Err(why) = &ended
                && self.trouble.as_ref() != Some(why)
            {
                news = Some(format!("the requests of `load` can't be sent: {why}"));
            }
            self.trouble = ended.err();
        }
        if self.tasks.is_empty() {
            for whom in whom(step, self.sources.are_apart()) {
                let volley = volley(wanted, *whom);
                let (sources, subject) = (self.sources.clone(), self.subject.clone());
                self.tasks
                    .spawn(async move { sources.send(&volley, &subject).await });
            }
        }
        news
    }

    /// Sends no more.
    pub(super) fn stop(&mut self) {
        // With what they would come to: that they were ended is no trouble.
        self.tasks = JoinSet::new();
    }
}

/// While only its preview leads to the new version, that is asked as well: what is judged are requests of the same time.
/// So it is also where the versions are `apart`, and a router that we do not pass decides between them.
fn whom(step: Option<Step>, apart: bool) -> &'static [Whom] {
    match step {
        Some(Step::Validate) => &[Whom::Service, Whom::Preview],
        Some(Step::Bake(_) | Step::Analyse) if apart => &[Whom::Service, Whom::Preview],
        _ => &[Whom::Service],
    }
}

fn volley(wanted: &SyntheticLoad, whom: Whom) -> Volley {
    Volley {
        whom,
        path: wanted.path.clone(),
        rate: wanted.rate,
        under_way: (2 * wanted.rate).min(MOST_UNDER_WAY),
        lasting: LASTING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preview_is_asked_where_the_service_alone_leads_to_one_version() {
        let both = [Whom::Service, Whom::Preview];
        assert_eq!(whom(Some(Step::Validate), false), both);
        assert_eq!(whom(Some(Step::Analyse), true), both);
        for step in [Step::Analyse, Step::Pause, Step::Switch] {
            assert_eq!(whom(Some(step), false), [Whom::Service]);
        }
        assert_eq!(whom(Some(Step::Retire), true), [Whom::Service]);
        assert_eq!(whom(None, true), [Whom::Service]);
    }

    #[tokio::test]
    async fn requests_that_were_stopped_are_no_trouble() {
        let subject = Subject {
            service: "shop".parse().expect("a name"),
            environment: "production".parse().expect("a name"),
            version: "2.0.0".to_owned(),
            stable: "1.0.0".to_owned(),
            address: "127.0.0.1:8080".to_owned(),
        };
        let (wanted, sources) = (SyntheticLoad::default(), Arc::new(Sources::nowhere()));
        let mut load = Load::new(Some(&wanted), sources, Arc::new(subject));
        assert_eq!(load.go_on(Some(Step::Analyse)), None);
        load.stop();
        tokio::task::yield_now().await;
        assert_eq!(load.go_on(Some(Step::Analyse)), None);
        // These are not stopped, and have nowhere to go.
        tokio::task::yield_now().await;
        let told = load.go_on(Some(Step::Analyse)).unwrap_or_default();
        assert!(told.ends_with("there is no way to shop"), "{told}");
    }
}
