//! Analyses, at random.

use domain::spec::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::{percent, text, time};

fn condition() -> impl Strategy<Value = domain::analysis::condition::Condition> {
    prop::sample::select(vec![
        "result >= 0.99",
        "result[0] < 5 && !(result[1] == 0)",
        " result == true ",
    ])
    .prop_map(|text| text.parse().expect("a condition"))
}

fn provider() -> impl Strategy<Value = Provider> {
    prop_oneof![
        (text(), "https?://[a-z]{1,8}(:[0-9]{2,4})?", of(access())).prop_map(
            |(query, address, auth)| {
                Provider::Prometheus(PrometheusQuery {
                    query,
                    address,
                    auth,
                })
            }
        ),
        (
            "http://\\{\\{address\\}\\}/[a-z]{0,4}",
            of(Just("$.a[0]")),
            of(time()),
            of(access())
        )
            .prop_map(|(url, path, timeout, auth)| Provider::Http(HttpQuery {
                url,
                json_path: path.map(|path| path.parse().expect("a path")),
                timeout,
                auth,
            })),
        (text(), vec(text(), 1..3), of(time()), 1..64_u32).prop_map(
            |(image, run, timeout, pids)| {
                Provider::Container(ContainerQuery {
                    image,
                    run,
                    timeout,
                    resources: Resources {
                        pids: Some(pids),
                        ..Resources::default()
                    },
                })
            }
        ),
        Just(Provider::Pods),
    ]
}

fn access() -> impl Strategy<Value = Access> {
    let secret = || prop::sample::select(vec!["env:TOKEN", "file:/run/token"]);
    let reference = |text: &str| text.parse().expect("a reference");
    let header = prop_oneof![
        text().prop_map(EnvValue::Text),
        secret().prop_map(move |text| EnvValue::Secret {
            secret: reference(text)
        }),
    ];
    let headers = vec(("X-[A-Za-z]{1,8}", header), 0..3);
    (of(secret()), any::<bool>(), headers, of(secret())).prop_map(
        move |(login, is_basic, headers, ca)| Access {
            bearer: login.filter(|_| !is_basic).map(reference),
            basic: login.filter(|_| is_basic).map(reference),
            headers: headers.into_iter().collect(),
            ca: ca.map(reference),
        },
    )
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        (0..1_000_000_u32).prop_map(Limit::AtMost),
        Just(Limit::UNLIMITED)
    ]
}

fn metric() -> impl Strategy<Value = Metric> {
    let times = (of(time()), of(time()), 1..1000_u32, of(1..1000_u32));
    let limits = (limit(), limit(), of(1..1_000_000_u32), any::<bool>());
    (provider(), condition(), of(condition()), times, limits).prop_map(
        |(provider, pass, fail, (interval, delay, count, step), limits)| {
            let mut metric = Metric::new("", provider);
            metric.pass = Some(pass);
            metric.fail = fail;
            metric.interval = interval;
            metric.count = interval.map(|_| count);
            metric.initial_delay = delay;
            metric.starting_step = step;
            metric.failure_limit = Limit::AtMost(0);
            (
                metric.inconclusive_limit,
                metric.consecutive_error_limit,
                metric.consecutive_success_limit,
                metric.dry_run,
            ) = limits;
            metric
        },
    )
}

/// An analysis that uses any of the keys.
pub(crate) fn analysis() -> impl Strategy<Value = Analysis> {
    let errors = percent().prop_map(|max_increase| ErrorAnalysis { max_increase });
    let latency = (prop::sample::select(vec!["p50", "p99", "p99.9"]), percent()).prop_map(
        |(quantile, max_increase)| LatencyAnalysis {
            quantile: quantile.parse().expect("a quantile"),
            max_increase,
        },
    );
    let load = of(("/[a-z]{0,8}", 1..=100_u32)).prop_map(|load| {
        let (path, rate) = load?;
        Some(SyntheticLoad { path, rate })
    });
    let numbers = (1..20_u32, 1..10_000_000_u32, time(), load);
    let watched = (of(errors), of(latency), vec(metric(), 0..3))
        .prop_filter("something is watched", |(errors, latency, metrics)| {
            errors.is_some() || latency.is_some() || !metrics.is_empty()
        });
    (watched, numbers).prop_map(
        |((errors, latency, mut metrics), (false_aborts, min_samples, wait_for_samples, load))| {
            for (index, metric) in metrics.iter_mut().enumerate() {
                metric.name = format!("metric {index}");
            }
            Analysis {
                errors,
                latency,
                false_aborts: Percent::of(false_aborts),
                min_samples,
                wait_for_samples,
                load,
                metrics,
            }
        },
    )
}
