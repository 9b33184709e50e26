//! Load at a constant rate, whatever the service does: an open loop.
//!
//! Request `i` is due at `i / rate` after the start, and its latency counts from then, also if no connection was free:
//! a service that stalls is charged with every request that would have come meanwhile (no coordinated omission, see
//! Gil Tene, "How NOT to measure latency").

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Uri, header, uri::Authority};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    connect::{Connector, Dns, Endpoint},
    error::chain,
    probe::TargetError,
};

/// Requests under way at a time, each on a connection of its own.
pub const CONNECTIONS: u64 = 256;
/// A request that is not answered by then has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Idle connections are kept no longer than common servers keep them.
const IDLE_CONNECTION_KEPT: Duration = Duration::from_secs(1);

/// Requests to send.
#[derive(Debug, Clone)]
pub struct Load {
    /// What to GET: an `http` URL.
    pub url: String,
    /// Requests a second.
    pub rate: u32,
    /// For how long.
    pub duration: Duration,
    /// Beside `Host`, and `User-Agent` unless it is here.
    pub headers: HeaderMap,
    /// How many may be under way at a time, each on a connection of its own.
    pub connections: u64,
    /// A request that is not answered by then has failed.
    pub patience: Duration,
}

/// What was measured. Latencies are of answered requests, exact to 1 %.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Requests that were due.
    pub requests: u64,
    /// Requests without an answer in time, or answered with 4xx or 5xx.
    pub failed: u64,
    /// Half of the answers were faster.
    pub p50_us: u64,
    /// 99 of 100 answers were faster.
    pub p99_us: u64,
    /// The slowest answer.
    pub max_us: u64,
    /// Requests a second, over the time that all of them took.
    pub achieved_rate: f64,
    /// What went wrong first, if anything did.
    pub first_error: Option<String>,
}

impl Load {
    /// At most 256 at a time, each with ten seconds to be answered.
    #[must_use]
    pub fn new(url: impl Into<String>, rate: u32, duration: Duration) -> Self {
        Self {
            url: url.into(),
            rate,
            duration,
            headers: HeaderMap::new(),
            connections: CONNECTIONS,
            patience: PATIENCE,
        }
    }

    /// Sends all requests and measures.
    ///
    /// # Errors
    /// When the URL can't be used.
    pub async fn run(&self) -> Result<Measured, TargetError> {
        let bad = || TargetError::Url(self.url.clone());
        let uri: Uri = self.url.parse().map_err(|_| bad())?;
        let authority: Authority = uri.authority().cloned().ok_or_else(bad)?;
        if uri.scheme() != Some(&http::uri::Scheme::HTTP) {
            return Err(bad());
        }
        let endpoint = Arc::new(Endpoint::new(&authority, 80, Arc::new(Dns::of_system())));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION_KEPT)
            .build(Connector(endpoint));
        let mut headers = self.headers.clone();
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static("slipway-edge"));
        let pace = Pace::of(self);
        Ok(measure(pace, move || {
            get(client.clone(), uri.clone(), headers.clone())
        })
        .await)
    }
}

async fn get(
    client: Client<Connector, Empty<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<(), String> {
    let path = uri.path().to_owned();
    let mut request = Request::get(uri)
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    *request.headers_mut() = headers;
    let response = client
        .request(request)
        .await
        .map_err(|error| chain(&error))?;
    let status = response.status();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| format!("the answer broke off: {}", chain(&error)))?;
    }
    if status.is_client_error() || status.is_server_error() {
        return Err(format!("GET {path} answered {status}"));
    }
    Ok(())
}

/// How fast, how long, how many at a time, and how long each.
#[derive(Debug, Clone, Copy)]
struct Pace {
    rate: u32,
    duration: Duration,
    connections: u64,
    patience: Duration,
}

impl Pace {
    fn of(load: &Load) -> Self {
        Self {
            rate: load.rate,
            duration: load.duration,
            connections: load.connections,
            patience: load.patience,
        }
    }
}

/// Takes `rate` requests a second for so long, by workers that each take the next one that is due.
async fn measure<F, A>(pace: Pace, ask: F) -> Measured
where
    F: Fn() -> A + Clone + Send + 'static,
    A: Future<Output = Result<(), String>> + Send + 'static,
{
    let Pace {
        rate,
        duration,
        connections,
        patience,
    } = pace;
    let total = (u128::from(rate) * duration.as_nanos() / 1_000_000_000) as u64;
    let due = move |index: u64| {
        Duration::from_nanos(index.saturating_mul(1_000_000_000) / u64::from(rate.max(1)))
    };
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..connections.max(1).min(total) {
        let (next, ask) = (next.clone(), ask.clone());
        workers.spawn(async move {
            let mut seen = Seen::default();
            loop {
                let index = next.fetch_add(1, Relaxed);
                if index >= total {
                    return seen;
                }
                let intended = start + due(index);
                sleep_until(intended).await;
                match timeout_at(intended + patience, ask()).await {
                    Ok(Ok(())) => seen.latencies.record(intended.elapsed()),
                    Ok(Err(error)) => seen.fail(intended, error),
                    Err(_) => seen.fail(intended, format!("no answer within {patience:?}")),
                }
            }
        });
    }
    let mut seen = Seen::default();
    while let Some(worker) = workers.join_next().await {
        match worker {
            Ok(of_one) => seen.add(of_one),
            Err(error) => seen.fail(start, error.to_string()),
        }
    }
    let took = start.elapsed().max(duration);
    Measured {
        requests: total,
        failed: seen.failed,
        p50_us: seen.latencies.quantile(0.5),
        p99_us: seen.latencies.quantile(0.99),
        max_us: seen.latencies.max_us,
        achieved_rate: total as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE),
        first_error: seen.first_error.map(|(_, error)| error),
    }
}

/// What one worker saw.
#[derive(Default)]
struct Seen {
    latencies: Latencies,
    failed: u64,
    first_error: Option<(Instant, String)>,
}

impl Seen {
    fn fail(&mut self, at: Instant, error: String) {
        self.failed += 1;
        self.first_error.get_or_insert((at, error));
    }

    fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.failed += other.failed;
        let earliest = [self.first_error.take(), other.first_error];
        self.first_error = earliest.into_iter().flatten().min_by_key(|(at, _)| *at);
    }
}

/// Latencies in buckets of at most 1 %: 128 to each doubling.
#[derive(Default)]
struct Latencies {
    counts: Vec<u64>,
    max_us: u64,
}

/// Binary digits that tell the buckets of one doubling apart.
const DIGITS: u32 = 7;

impl Latencies {
    fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(us);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.max_us = self.max_us.max(us);
    }

    fn add(&mut self, other: &Self) {
        let length = self.counts.len().max(other.counts.len());
        self.counts.resize(length, 0);
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours += theirs;
        }
        self.max_us = self.max_us.max(other.max_us);
    }

    /// The upper end of the bucket that the quantile falls in; 0 if there are none.
    fn quantile(&self, q: f64) -> u64 {
        let count: u64 = self.counts.iter().sum();
        let rank = (count as f64 * q).ceil() as u64;
        let mut seen = 0;
        let reaches = |(_, count): &(usize, &u64)| {
            seen += **count;
            seen >= rank.max(1)
        };
        let bucket = self.counts.iter().enumerate().find(reaches);
        bucket.map_or(0, |(bucket, _)| upper_end(bucket).min(self.max_us))
    }
}

fn bucket_of(us: u64) -> usize {
    let shift = (u64::BITS - us.leading_zeros()).saturating_sub(DIGITS + 1);
    let bucket = (u64::from(shift) << DIGITS) + (us >> shift);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> DIGITS).saturating_sub(1);
    let digits = bucket - (shift << DIGITS);
    ((digits + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: u32, seconds: u64) -> Pace {
        Pace {
            rate,
            duration: Duration::from_secs(seconds),
            connections: CONNECTIONS,
            patience: PATIENCE,
        }
    }

    #[test]
    fn buckets_are_in_order_and_narrow() {
        for us in [0, 1, 127, 128, 255, 256, 1000, 12_345, 9_999_999, 1 << 40] {
            let end = upper_end(bucket_of(us));
            assert!(us <= end && end as f64 <= us as f64 * 1.01, "{us}: {end}");
            assert!(bucket_of(end) < bucket_of(end + 1), "{us}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_latencies() {
        let mut latencies = Latencies::default();
        for ms in 1..=100 {
            latencies.record(Duration::from_millis(ms));
        }
        let near = |us: u64, ms: f64| (us as f64 / 1000.0 / ms - 1.0).abs() < 0.01;
        assert!(near(latencies.quantile(0.5), 50.0));
        assert!(near(latencies.quantile(0.99), 99.0));
        assert_eq!(latencies.quantile(1.0), 100_000);
        assert_eq!(Latencies::default().quantile(0.99), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn every_request_that_is_due_is_sent() {
        let instantly = || async { Ok(()) };
        let measured = measure(pace(50, 2), instantly).await;
        assert_eq!((measured.requests, measured.failed), (100, 0));
        assert!((measured.achieved_rate - 50.0).abs() < 1.0, "{measured:?}");
        assert_eq!(measured.first_error, None);
    }

    /// 1,000 requests a second, at most 256 under way, each takes a second: the backlog grows.
    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_connection_counts() {
        let slowly = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(())
        };
        let measured = measure(pace(1000, 2), slowly).await;
        assert!(measured.p99_us > 5_000_000, "{measured:?}");
        assert!(measured.achieved_rate < 300.0, "{measured:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_never_answers_ends_the_measurement_all_the_same() {
        let measured = measure(pace(100, 1), std::future::pending).await;
        assert_eq!((measured.requests, measured.failed), (100, 100));
        assert_eq!(
            measured.first_error.as_deref(),
            Some("no answer within 10s")
        );
    }

    #[tokio::test]
    async fn only_http_urls_are_taken() {
        for url in ["https://a/", "a:80", "/x", ""] {
            let load = Load::new(url, 1, Duration::ZERO);
            assert!(load.run().await.is_err(), "{url}");
        }
    }
}
