//! The backends of one host name, and who of them gets the next request.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};

use crate::{
    backend::Backend,
    cookies,
    schedule::Schedule,
    status::BackendStatus,
    table::{self, Mark},
};

/// A route in force.
pub(crate) struct Route {
    /// In lower case.
    pub(crate) host: Option<String>,
    all: Pool,
    matches: Vec<(Mark, Pool)>,
    sticky: Option<Sticky>,
}

/// Backends that share requests by their weights, as far as they are ready.
struct Pool {
    members: Vec<(Arc<Backend>, u32)>,
    schedule: ArcSwap<Schedule<Arc<Backend>>>,
    /// Of its own: requests that never come here shift nobody's share.
    turn: AtomicU64,
}

struct Sticky {
    cookie: String,
    sessions: Vec<Session>,
}

struct Session {
    value: String,
    /// `Set-Cookie` for a client that comes into it.
    cookie: HeaderValue,
    pool: Pool,
}

/// Who gets a request, and the `Set-Cookie` that says so to a client that is new there.
pub(crate) struct Choice {
    pub(crate) backend: Arc<Backend>,
    pub(crate) cookie: Option<HeaderValue>,
}

impl Route {
    /// A route of a valid table, with its backends in their order.
    pub(crate) fn new(spec: &table::Route, backends: &[Arc<Backend>]) -> Self {
        let named = |names: &[String], weight: fn(u32) -> u32| {
            let both = backends.iter().zip(&spec.backends);
            let ours = both.filter(|(_, spec)| names.contains(&spec.name));
            Pool::new(ours.map(|(backend, spec)| (backend.clone(), weight(spec.weight))))
        };
        let all = backends.iter().zip(&spec.backends);
        let route = Self {
            host: spec.host.as_deref().map(str::to_ascii_lowercase),
            all: Pool::new(all.map(|(backend, spec)| (backend.clone(), spec.weight))),
            matches: spec
                .matches
                .iter()
                .map(|marked| (marked.when.clone(), named(&marked.backends, |_| 1)))
                .collect(),
            sticky: spec.sticky.as_ref().map(|sticky| Sticky {
                cookie: sticky.cookie.clone(),
                sessions: sticky
                    .sessions
                    .iter()
                    .map(|session| Session {
                        value: session.value.clone(),
                        cookie: set_cookie(sticky, &session.value),
                        pool: named(&session.backends, |weight| weight),
                    })
                    .collect(),
            }),
        };
        route.refresh();
        route
    }

    /// Takes in who is ready.
    pub(crate) fn refresh(&self) {
        self.all.refresh();
        for (_, pool) in &self.matches {
            pool.refresh();
        }
        for session in self.sticky.iter().flat_map(|sticky| &sticky.sessions) {
            session.pool.refresh();
        }
    }

    /// The backend whose turn it is for a request with these headers, preferably one not yet tried; none if none is
    /// ready.
    pub(crate) fn choose(&self, headers: &HeaderMap, tried: &[Arc<Backend>]) -> Option<Choice> {
        let untried = |backend: &Arc<Backend>| !tried.iter().any(|seen| Arc::ptr_eq(seen, backend));
        let marked = self.matches.iter().filter(|(mark, _)| is_on(mark, headers));
        if let Some(backend) = marked.filter_map(|(_, pool)| pool.pick(untried)).next() {
            return Some(Choice {
                backend,
                cookie: None,
            });
        }
        let Some(sticky) = &self.sticky else {
            let backend = self.all.pick_rather(untried)?;
            return Some(Choice {
                backend,
                cookie: None,
            });
        };
        let session = sticky.session(headers);
        if let Some(backend) = session.and_then(|session| session.pool.pick(untried)) {
            return Some(Choice {
                backend,
                cookie: None,
            });
        }
        let backend = self.all.pick_rather(untried)?;
        let entered = sticky.sessions.iter().find(|s| s.pool.has(&backend));
        let is_new = |entered: &&Session| session.is_none_or(|had| had.value != entered.value);
        Some(Choice {
            cookie: entered.filter(is_new).map(|s| s.cookie.clone()),
            backend,
        })
    }

    /// The backends that have a weight, and what is wrong with them.
    pub(crate) fn unready(&self) -> Vec<String> {
        let weighted = self.all.members.iter().filter(|(_, weight)| *weight > 0);
        let line = |(backend, _): &(Arc<Backend>, u32)| {
            let error = backend.readiness().last_error;
            let error = error.unwrap_or_else(|| "not checked yet".into());
            format!(
                "{} ({}) at {}: {error}",
                backend.spec.name, backend.spec.version, backend.spec.address
            )
        };
        weighted.map(line).collect()
    }

    pub(crate) fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.all.members.iter().map(|(backend, _)| backend)
    }

    pub(crate) fn status(&self) -> impl Iterator<Item = BackendStatus> {
        let members = self.all.members.iter();
        members.map(|(backend, weight)| backend.status(self.host.as_deref(), *weight))
    }
}

impl Sticky {
    /// The session that a request says it is in. What names no session here is no cookie of ours.
    fn session(&self, headers: &HeaderMap) -> Option<&Session> {
        let named = |value: &[u8]| {
            let mut sessions = self.sessions.iter();
            sessions.find(|session| session.value.as_bytes() == value)
        };
        cookies::values(headers, &self.cookie).find_map(named)
    }
}

impl Pool {
    /// Nobody gets anything before it is refreshed.
    fn new(members: impl Iterator<Item = (Arc<Backend>, u32)>) -> Self {
        Self {
            members: members.collect(),
            schedule: ArcSwap::from_pointee(Schedule::new([])),
            turn: AtomicU64::new(0),
        }
    }

    fn refresh(&self) {
        let members = self.members.iter();
        let ready = members.filter(|(backend, _)| backend.is_ready()).cloned();
        self.schedule.store(Arc::new(Schedule::new(ready)));
    }

    /// The next of those that pass.
    fn pick(&self, passes: impl Fn(&Arc<Backend>) -> bool) -> Option<Arc<Backend>> {
        let turn = self.turn.fetch_add(1, Relaxed);
        self.schedule.load().pick(turn, passes).cloned()
    }

    /// The next of those that pass, or else of all.
    fn pick_rather(&self, passes: impl Fn(&Arc<Backend>) -> bool) -> Option<Arc<Backend>> {
        let (turn, schedule) = (self.turn.fetch_add(1, Relaxed), self.schedule.load());
        let picked = schedule
            .pick(turn, passes)
            .or_else(|| schedule.pick(turn, |_| true));
        picked.cloned()
    }

    fn has(&self, backend: &Arc<Backend>) -> bool {
        self.members
            .iter()
            .any(|(known, _)| Arc::ptr_eq(known, backend))
    }
}

/// Whether a request carries a mark.
fn is_on(mark: &Mark, headers: &HeaderMap) -> bool {
    match mark {
        Mark::Header(pair) => headers
            .get_all(pair.name.as_str())
            .into_iter()
            .any(|value| value == pair.value.as_str()),
        Mark::Cookie(pair) => {
            cookies::values(headers, &pair.name).any(|value| value == pair.value.as_bytes())
        }
    }
}

/// Tells a client which session it is in. Scripts can't read it, and other sites' forms don't send it. It is not
/// `Secure`: the edge speaks plain HTTP, and nothing about it is secret.
fn set_cookie(sticky: &table::Sticky, value: &str) -> HeaderValue {
    let mut text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax", sticky.cookie);
    if let Some(max_age_s) = sticky.max_age_s {
        text.push_str(&format!("; Max-Age={max_age_s}"));
    }
    HeaderValue::from_str(&text).expect("a valid table has names and values of cookies only")
}

#[cfg(test)]
mod tests;
