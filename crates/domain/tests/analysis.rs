//! The section `analysis` of a strategy: what is read, and what a person sees for each kind of mistake.

use domain::spec::{self, Analysis, Limit, Provider, Strategy, TimeSpan};

fn file(analysis: &str) -> String {
    format!(
        "service: delivery\ndeploy:\n  strategy:\n    canary:\n      steps: [5%, bake 2m, 100%]\n      analysis:\n{}",
        analysis
            .lines()
            .map(|line| format!("        {line}\n"))
            .collect::<String>()
    )
}

fn accept(analysis: &str) -> Analysis {
    let spec = spec::parse("slipway.yaml", &file(analysis))
        .unwrap_or_else(|problems| panic!("{problems}"));
    match spec.deploy.expect("deploy").strategy {
        Strategy::Canary(canary) => canary.analysis.expect("an analysis"),
        other => panic!("{other:?}"),
    }
}

fn refuse(analysis: &str) -> String {
    spec::parse("slipway.yaml", &file(analysis))
        .expect_err("this is wrong")
        .render(false)
}

const FULL: &str = r#"
errors: { max_increase: 0.5% }
latency: { quantile: p95, max_increase: 20% }
false_aborts: 0.1%
min_samples: 500
wait_for_samples: 15m
load: { path: /healthz, rate: 20 }
metrics:
  - name: success
    prometheus: { query: "sum(rate(x{service=\"{{service}}\",version=\"{{version}}\"}[1m]))", address: https://prometheus:9090, auth: { bearer: env:PROMETHEUS_TOKEN, ca: file:/etc/slipway/ca.pem, headers: { X-Scope-OrgID: shop, X-Key: { secret: env:KEY } } } }
    pass: "result >= 0.99"
    fail: "result < 0.95"
    interval: 30s
    count: 5
    initial_delay: 1m
    starting_step: 2
    failure_limit: 1
    inconclusive_limit: unlimited
    consecutive_error_limit: 2
    consecutive_success_limit: 3
    dry_run: true
  - name: ready
    http: { url: "http://{{address}}/healthz", json_path: "$.checks[0].ok", timeout: 3s, auth: { basic: env:LOGIN } }
    pass: result == true
  - name: smoke
    container: { image: "curlimages/curl:8", run: ["curl -fsS http://$SLIPWAY_ADDRESS"], timeout: 2m, resources: { cpus: 0.5, memory: 128Mi } }
  - name: replicas
    pods: {}
    fail: result > 1
    interval: 10s
"#;

#[test]
fn every_key_is_read() {
    insta::assert_json_snapshot!(accept(FULL));
}

#[test]
fn little_is_enough() {
    let analysis = accept("errors: { max_increase: 1% }");
    assert_eq!(analysis.min_samples, 100);
    assert_eq!(analysis.wait_for_samples, TimeSpan::from_secs(600));
    let analysis = accept("metrics: [{ name: a, pods: {} }]");
    let metric = &analysis.metrics[0];
    assert_eq!(metric.provider, Provider::Pods);
    assert_eq!(
        metric.pass.as_ref().expect("its own").to_string(),
        "result == 0"
    );
    assert_eq!(metric.failure_limit, Limit::AtMost(0));
    assert_eq!(metric.consecutive_error_limit, Limit::AtMost(4));
    assert_eq!(metric.effective_count(), Some(1));
    assert_eq!(
        accept("metrics: [{ name: a, pods: {}, interval: 1m }]").metrics[0].effective_count(),
        None
    );
}

#[test]
fn what_is_written_reads_back() {
    let text = file(FULL);
    let spec = spec::parse("slipway.yaml", &text).expect("it is right");
    let json = serde_json::to_string(&spec).expect("it has a JSON form");
    assert_eq!(
        serde_json::from_str::<spec::ServiceSpec>(&json).expect("JSON"),
        spec
    );
    assert_eq!(
        spec::parse("kept.json", &json).unwrap_or_else(|p| panic!("{p}")),
        spec
    );
    let yaml = serde_saphyr::to_string(&spec).expect("it has a YAML form");
    assert_eq!(
        spec::parse("kept.yaml", &yaml).unwrap_or_else(|p| panic!("{p}")),
        spec
    );
}

#[test]
fn a_blue_green_switch_has_the_same_analysis() {
    let text = "service: a\ndeploy:\n  strategy: { blue_green: { analysis: { latency: { max_increase: 20% } } } }\n";
    let spec = spec::parse("slipway.yaml", text).unwrap_or_else(|problems| panic!("{problems}"));
    let Strategy::BlueGreen(blue_green) = spec.deploy.expect("deploy").strategy else {
        panic!("blue-green was asked for")
    };
    let latency = blue_green
        .analysis
        .and_then(|a| a.latency)
        .expect("latency");
    assert_eq!(latency.quantile.to_string(), "p99");
}

macro_rules! mistakes {
    ($($name:ident = $text:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), refuse($text));
        }
    )*};
}

mistakes! {
    unknown_keys = "error: { max_increase: 1% }\nlatency: { p99: 20%, max_increase: 20% }\nmetrics:\n  - name: a\n    pods: { all: true }\n    success_condition: result == 0\n";
    no_limit = "errors: {}\nlatency: { quantile: p99 }\n";
    bad_values = "errors: { max_increase: 1 }\nlatency: { quantile: 99%, max_increase: 20% }\nfalse_aborts: 0%\nmin_samples: 0\nwait_for_samples: 10\n";
    no_condition = "metrics:\n  - name: success\n    prometheus: { query: up, address: \"http://prometheus:9090\" }\n";
    bad_conditions = "metrics:\n  - { name: a, pods: {}, pass: result >= 99% }\n  - { name: b, pods: {}, fail: \"result > 1 and result < 3\" }\n  - { name: c, pods: {}, pass: \"result\" }\n  - { name: d, pods: {}, pass: 'asInt(result) > 1' }\n  - { name: e, pods: {}, pass: \"1 < 2\" }\n";
    nothing_measured = "metrics:\n  - name: success\n    pass: result == 0\n  - pods: {}\n";
    two_providers = "metrics:\n  - name: a\n    pods: {}\n    http: { url: \"http://x/\" }\n";
    same_name_twice = "metrics:\n  - { name: a, pods: {} }\n  - { name: a, pods: {} }\n";
    incomplete_providers = "metrics:\n  - { name: a, prometheus: { query: up }, pass: result > 0 }\n  - { name: b, http: {}, pass: result > 0 }\n  - { name: c, container: { image: x } }\n";
    bad_addresses = "metrics:\n  - { name: a, prometheus: { query: up, address: \"prometheus:9090\" }, pass: result > 0 }\n  - { name: b, http: { url: /healthz, json_path: ok }, pass: result > 0 }\n";
    unknown_placeholders = "metrics:\n  - { name: a, prometheus: { query: 'x{v=\"{{vresion}}\"}', address: \"http://p\" }, pass: result > 0 }\n  - { name: b, http: { url: \"http://{{args.host}}/\" }, pass: result > 0 }\n";
    count_without_interval = "metrics:\n  - { name: a, pods: {}, count: 5 }\n";
    limits_that_cannot_be_exceeded = "metrics:\n  - { name: a, pods: {}, failure_limit: 1 }\n  - { name: b, pods: {}, interval: 1m, count: 5, failure_limit: 5, inconclusive_limit: none }\n";
    load_alone_watches_nothing = "load: { path: /healthz }\n";
    load_out_of_bounds = "errors: { max_increase: 1% }\nload: { path: healthz, rate: 5/s, burst: 3 }\n";
    more_load_than_there_may_be = "errors: { max_increase: 1% }\nload: { rate: 101 }\n";
    access_with_the_secret_itself = "metrics:\n  - name: a\n    http: { url: \"http://x/\", auth: { bearer: hunter2 } }\n    pass: result == 200\n";
    two_ways_in = "metrics:\n  - name: a\n    http: { url: \"http://x/\", auth: { bearer: env:A, basic: env:B, token: env:C } }\n    pass: result == 200\n";
    headers_that_are_not_set_so = "metrics:\n  - name: a\n    prometheus: { query: up, address: \"http://x\", auth: { headers: { Host: a, \"a(b)\": c } } }\n    pass: result > 0\n";
    a_list_of_text = "metrics: [success]\n";
}
