//! A bounded HTTP load generator: many connections, each one request after the other, until stopped.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_LIMIT: usize = 1024 * 1024;
/// Different bodies and versions that are told apart; the rest is counted as `(other)`.
const KEYS_LIMIT: usize = 64;
const OTHER: &str = "(other)";
const KEY_CHARACTERS: usize = 200;
const FAILURES_KEPT: usize = 20;
/// Changes of the body that are kept for each connection.
const JOURNEY_LIMIT: usize = 100;

/// What to send, and how hard.
#[derive(Debug, Clone)]
pub struct Load {
    /// An `http` URL.
    pub url: String,
    /// GET unless changed.
    pub method: Method,
    /// Empty unless changed.
    pub body: Bytes,
    /// None unless changed.
    pub headers: HeaderMap,
    /// Whether each connection is a client that keeps cookies, as a browser does; not unless changed.
    pub keeps_cookies: bool,
    /// How many connections send at once.
    pub connections: usize,
    /// Requests per second over all connections; none is as fast as they go.
    pub rate: Option<f64>,
    /// The load ends after this even when nobody stops it.
    pub limit: Duration,
}

impl Load {
    /// GET requests, for two minutes at most.
    pub fn new(url: impl Into<String>, connections: usize, rate: Option<f64>) -> Self {
        let (url, limit) = (url.into(), Duration::from_secs(120));
        Self {
            url,
            method: Method::GET,
            body: Bytes::new(),
            headers: HeaderMap::new(),
            keeps_cookies: false,
            connections,
            rate,
            limit,
        }
    }

    /// Starts GET requests; see [`Load::new`].
    pub fn start(url: impl Into<String>, connections: usize, rate: Option<f64>) -> LoadHandle {
        Self::new(url, connections, rate).run()
    }

    /// Starts.
    ///
    /// # Panics
    /// When the URL is not one.
    pub fn run(self) -> LoadHandle {
        let uri: Uri = self.url.parse().expect("the URL of a load is valid");
        let (stop, load) = (CancellationToken::new(), Arc::new(self));
        let mut senders = JoinSet::new();
        for _ in 0..load.connections {
            senders.spawn(send(load.clone(), uri.clone(), stop.clone()));
        }
        LoadHandle {
            senders,
            stop,
            started: Instant::now(),
        }
    }
}

/// A running load; dropping it ends it without a report.
#[derive(Debug)]
pub struct LoadHandle {
    senders: JoinSet<LoadReport>,
    stop: CancellationToken,
    started: Instant,
}

impl LoadHandle {
    /// Lets the requests under way end, and reports.
    pub async fn stop(mut self) -> LoadReport {
        self.stop.cancel();
        let mut report = LoadReport::default();
        while let Some(part) = self.senders.join_next().await {
            report.add(part.expect("a sender of a load does not panic"));
        }
        report.elapsed = self.started.elapsed();
        report.latencies_us.sort_unstable();
        report
    }
}

/// What came back.
#[derive(Debug, Default, Clone)]
pub struct LoadReport {
    /// Requests made.
    pub total: u64,
    /// Of them, those without a response, or with a status of 400 and above.
    pub failed: u64,
    /// Good responses by (the beginning of) their body.
    pub by_body: BTreeMap<String, u64>,
    /// Good responses by their `x-slipway-version`, where they had one.
    pub by_version: BTreeMap<String, u64>,
    /// When each request was sent, by (the beginning of) the body of its answer, good or not; without any, by nothing.
    pub sent: BTreeMap<String, Vec<SystemTime>>,
    /// For each connection the bodies of its good responses, in their order; one that comes again at once is left out.
    pub journeys: Vec<Vec<String>>,
    /// The slowest request.
    pub worst: Duration,
    /// The first failures with time since the start and reason.
    pub failures: Vec<String>,
    /// From start to stop.
    pub elapsed: Duration,
    /// Of all requests, ascending, in microseconds.
    pub latencies_us: Vec<u32>,
}

impl LoadReport {
    /// The latency that the share `q` of the requests stayed below.
    pub fn quantile(&self, q: f64) -> Duration {
        let index = ((self.latencies_us.len() as f64 * q) as usize)
            .min(self.latencies_us.len().saturating_sub(1));
        let us = self.latencies_us.get(index).copied().unwrap_or_default();
        Duration::from_micros(u64::from(us))
    }

    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.total as f64 / self.elapsed.as_secs_f64()
    }

    /// How many requests that were sent from `begin` on, and before `end`, were answered with this body.
    pub fn sent_between(&self, body: &str, begin: SystemTime, end: SystemTime) -> usize {
        let sent = self.sent.get(body).into_iter().flatten();
        sent.filter(|at| (begin..end).contains(at)).count()
    }

    /// # Panics
    /// When a request failed, or none was made.
    pub fn assert_no_failures(&self) {
        assert!(self.total > 0, "the load made no request");
        assert_eq!(
            self.failed, 0,
            "{} of {} requests failed: {:#?}",
            self.failed, self.total, self.failures
        );
    }

    fn record(&mut self, latency: Duration, since_start: Duration, answer: Result<Good, Bad>) {
        self.total += 1;
        let body = match &answer {
            Ok(good) => &good.body,
            Err(bad) => &bad.body,
        };
        let sent = SystemTime::now() - latency;
        let known = self.sent.len() < KEYS_LIMIT || self.sent.contains_key(body);
        let key = if known { body } else { OTHER };
        self.sent.entry(key.to_owned()).or_default().push(sent);
        self.worst = self.worst.max(latency);
        self.latencies_us
            .push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        match answer {
            Ok(good) => {
                if self.journeys.is_empty() {
                    self.journeys.push(Vec::new());
                }
                let journey = &mut self.journeys[0];
                if journey.last() != Some(&good.body) && journey.len() < JOURNEY_LIMIT {
                    journey.push(good.body.clone());
                }
                count(&mut self.by_body, good.body, 1);
                if let Some(version) = good.version {
                    count(&mut self.by_version, version, 1);
                }
            }
            Err(Bad { reason, .. }) => {
                self.failed += 1;
                if self.failures.len() < FAILURES_KEPT {
                    self.failures
                        .push(format!("after {} ms: {reason}", since_start.as_millis()));
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.failed += other.failed;
        self.worst = self.worst.max(other.worst);
        self.latencies_us.extend(other.latencies_us);
        self.failures.extend(other.failures);
        self.failures.truncate(FAILURES_KEPT);
        self.journeys.extend(other.journeys);
        for (body, sent) in other.sent {
            self.sent.entry(body).or_default().extend(sent);
        }
        other
            .by_body
            .into_iter()
            .for_each(|(key, n)| count(&mut self.by_body, key, n));
        other
            .by_version
            .into_iter()
            .for_each(|(key, n)| count(&mut self.by_version, key, n));
    }
}

struct Good {
    body: String,
    version: Option<String>,
    cookies: Vec<String>,
}

/// An answer that is none, or not a good one.
struct Bad {
    reason: String,
    body: String,
}

impl Bad {
    fn without_answer(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            body: String::new(),
        }
    }
}

/// The cookies of one client, by name.
#[derive(Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Takes in what one `Set-Cookie` says. No cookie of a test ends before the test does.
    fn keep(&mut self, line: &str) {
        let pair = line.split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            self.0
                .insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }

    fn header(&self) -> Option<HeaderValue> {
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        let pairs: Vec<String> = pairs.collect();
        let value = HeaderValue::from_str(&pairs.join("; ")).ok();
        value.filter(|_| !pairs.is_empty())
    }
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

async fn send(load: Arc<Load>, uri: Uri, stop: CancellationToken) -> LoadReport {
    // A client of its own keeps one connection of its own.
    let client: HttpClient = Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .build_http();
    let mut pace = load.rate.map(|rate| {
        let mut pace =
            tokio::time::interval(Duration::from_secs_f64(load.connections as f64 / rate));
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        pace
    });
    let (start, mut report) = (Instant::now(), LoadReport::default());
    let mut jar = Jar::default();
    while !stop.is_cancelled() && start.elapsed() < load.limit {
        if let Some(pace) = &mut pace
            && stop.run_until_cancelled(pace.tick()).await.is_none()
        {
            break;
        }
        let mut request = Request::new(Full::new(load.body.clone()));
        *request.method_mut() = load.method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = load.headers.clone();
        if let Some(cookies) = jar.header().filter(|_| load.keeps_cookies) {
            request.headers_mut().append(header::COOKIE, cookies);
        }
        let sent = Instant::now();
        let answer = timeout(REQUEST_TIMEOUT, exchange(&client, request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Bad::without_answer("no answer in time")));
        let refused = answer.is_err();
        for line in answer.iter().flat_map(|good| &good.cookies) {
            jar.keep(line);
        }
        report.record(sent.elapsed(), start.elapsed(), answer);
        if refused {
            // Something that refuses at once shall not be asked a hundred thousand times a second.
            stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(10)))
                .await;
        }
    }
    report
}

async fn exchange(client: &HttpClient, request: Request<Full<Bytes>>) -> Result<Good, Bad> {
    let response = client
        .request(request)
        .await
        .map_err(|error| Bad::without_answer(with_causes(&error)))?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, BODY_LIMIT)
        .collect()
        .await
        .map_err(|error| Bad::without_answer(format!("body: {error}")))?;
    let body: String = String::from_utf8_lossy(&body.to_bytes())
        .chars()
        .take(KEY_CHARACTERS)
        .collect();
    if parts.status.as_u16() >= 400 {
        let reason = format!("{}: {body}", parts.status);
        return Err(Bad { reason, body });
    }
    let cookies = parts.headers.get_all(header::SET_COOKIE);
    let cookies = cookies.iter().filter_map(|line| line.to_str().ok());
    Ok(Good {
        body,
        version: version(&parts.headers),
        cookies: cookies.map(str::to_owned).collect(),
    })
}

fn version(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("x-slipway-version")?.to_str().ok()?.to_owned())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn count(counts: &mut BTreeMap<String, u64>, key: String, n: u64) {
    let key = if counts.len() < KEYS_LIMIT || counts.contains_key(&key) {
        key
    } else {
        OTHER.into()
    };
    *counts.entry(key).or_default() += n;
}
