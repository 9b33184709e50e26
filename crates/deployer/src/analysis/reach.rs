//! How what is asked over HTTP is reached: from here, or from inside the network of the environment.

use std::sync::Arc;
use std::time::Duration;

use domain::analysis::subject::Subject;
use reqwest::Url;
use tokio::task::JoinSet;

use super::access::Pass;
use super::exchange::{Answer, Http, Question};
use super::load::{self, Volley, Whom};
use crate::{docker, kubernetes};

/// Ways to an endpoint.
pub(crate) struct Reach {
    http: Arc<Http>,
    /// Absent: nowhere are more names known than here.
    inside: Option<Inside>,
}

/// Where more names are known than here.
pub(super) enum Inside {
    /// In a network of this machine's container engine.
    Network(docker::inside::Inside),
    /// In a namespace of a cluster.
    Namespace(Box<kubernetes::inside::Inside>),
}

impl Reach {
    pub(super) fn new(inside: Option<Inside>) -> Self {
        let http = Arc::new(Http::new());
        Self { http, inside }
    }

    /// The answer, or why there is none.
    pub(super) async fn get(&self, question: &Question) -> Result<Answer, String> {
        match &self.inside {
            Some(Inside::Network(inside)) if inside.has(question).await => {
                inside.get(question).await
            }
            Some(Inside::Namespace(inside)) if inside.has(question).await => {
                inside.get(question).await
            }
            _ => self.http.get(question).await,
        }
    }

    /// Sends requests to the service.
    pub(super) async fn send(&self, volley: &Volley, subject: &Subject) -> Result<(), String> {
        match &self.inside {
            None => Err(format!("there is no way to {}", subject.service)),
            Some(Inside::Network(inside)) => inside.send(volley).await,
            Some(Inside::Namespace(inside)) => {
                let address = match volley.whom {
                    Whom::Service => inside.address().to_owned(),
                    Whom::Preview => format!("http://{}", subject.address),
                };
                let question = question(volley, &address, subject)?;
                let line = self.line(inside, &question).await?;
                fire(volley, &line, &question).await
            }
        }
    }

    /// The way to a Service of a namespace: the shortest there is.
    async fn line(
        &self,
        inside: &kubernetes::inside::Inside,
        question: &Question,
    ) -> Result<Line, String> {
        if question.is_known_here().await {
            return Ok(Line::Here(self.http.clone()));
        }
        Ok(Line::Proxy(Arc::new(inside.proxy(question).await?)))
    }
}

/// A way that many questions take.
#[derive(Clone)]
enum Line {
    Here(Arc<Http>),
    Proxy(Arc<kubernetes::inside::Proxy>),
}

impl Line {
    async fn get(self, question: Question) -> Result<Answer, String> {
        match self {
            Self::Here(http) => http.get(&question).await,
            Self::Proxy(proxy) => proxy.get(&question).await,
        }
    }
}

fn question(volley: &Volley, address: &str, subject: &Subject) -> Result<Question, String> {
    let url = format!("{}{}", address.trim_end_matches('/'), volley.path);
    let url = Url::parse(&url).map_err(|error| format!("{url}: {error}"))?;
    let mut pass = Pass::default();
    pass.set("User-Agent", load::USER_AGENT)?;
    pass.set(load::HEADER, subject.environment.as_str())?;
    let limit = load::PATIENCE;
    Ok(Question { url, pass, limit })
}

/// Sends requests from here, each when it is due. While too many are under way, they are left out.
async fn fire(volley: &Volley, line: &Line, question: &Question) -> Result<(), String> {
    let mut due = tokio::time::interval(Duration::from_secs(1) / volley.rate.max(1));
    let count = volley.lasting.as_millis() * u128::from(volley.rate) / 1000;
    let mut under_way = JoinSet::new();
    let (mut is_answered, mut refused) = (false, None);
    let mut note = |ended: Result<Result<Answer, String>, tokio::task::JoinError>| match ended {
        Ok(Ok(_)) => is_answered = true,
        Ok(Err(why)) => refused = Some(why),
        Err(error) => refused = Some(error.to_string()),
    };
    for _ in 0..count {
        due.tick().await;
        while let Some(ended) = under_way.try_join_next() {
            note(ended);
        }
        if under_way.len() < volley.under_way as usize {
            under_way.spawn(line.clone().get(question.clone()));
        }
    }
    while let Some(ended) = under_way.join_next().await {
        note(ended);
    }
    // What some requests come to is the service's affair; that none arrives is ours.
    match refused {
        Some(why) if !is_answered => Err(why),
        _ => Ok(()),
    }
}
