//! What a person sees for each kind of mistake: the place, the offending text underlined, and what would be right.

use domain::diagnostic::{Diagnostics, Severity};
use domain::spec::ServiceSpec;
use domain::{platform, spec};

/// The messages for a `slipway.yaml`, which must be refused.
fn service(text: &str) -> String {
    spec::parse("slipway.yaml", text)
        .expect_err("this is wrong")
        .render(false)
}

fn organisation(text: &str) -> String {
    platform::parse("platform.yaml", text)
        .expect_err("this is wrong")
        .render(false)
}

/// One test for each mistake, with the text that is shown for it.
macro_rules! mistakes {
    ($read:ident: $($name:ident = $text:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), $read($text));
        }
    )*};
}

mistakes! { service:
    unknown_key = "service: delivery\nteem: logistics\n";
    unknown_key_of_another_tool = "service: a\nbuild:\n  image: x\n  script: [make]\n";
    unknown_nested_key = "service: a\ntest:\n  unit:\n    run: [x]\n    report: out.xml\n";
    unknown_key_like_no_other = "service: a\ndeploy:\n  zzz: 1\n";
    wrong_type_mapping = "service: a\nbuild: cargo build\n";
    wrong_type_text_is_a_mapping = "service: a\nbuild:\n  image: x\n  run:\n    - echo Status: ok\n";
    truth_value_for_text = "service: a\nteam: no\n";
    number_for_text = "service: a\nteam: 42\n";
    truth_value_for_variable = "service: a\ndeploy:\n  env: { DEBUG: true }\n";
    text_for_number = "service: a\ndeploy: { port: http, replicas: \"3\" }\n";
    bad_name = "service: Delivery_Service\n";
    long_name = &format!("service: {}\n", "a".repeat(64));
    duplicate_key = "service: a\nteam: x\nservice: b\n";
    missing_service = "team: logistics\n";
    missing_run = "service: a\nbuild: { image: x }\ntest:\n  unit:\n    reports: out.xml\n  integration: { run: [] }\n";
    nowhere_to_run = "service: a\ntest:\n  unit: { run: make test }\n";
    tab_indentation = "service: a\nbuild:\n\timage: x\n";
    unclosed_list = "service: a\nneeds: [b, c\nteam: x\n";
    unclosed_quote = "service: a\nteam: \"x\nneeds: [b]\n";
    colon_in_text = "service: a\nteam: x: y\n";
    image_and_dockerfile = "service: a\nbuild:\n  image: x\n  run: [make]\n  dockerfile: ci/Dockerfile\n";
    neither_image_nor_dockerfile = "service: a\nbuild:\n  run: [make]\n";
    bad_quantities = "service: a\nbuild: { image: x, timeout: 30, resources: { memory: 512mb, cpus: two } }\ntest:\n  load: { errors: 0.1, p99: 50 ms }\n";
    port_out_of_range = "service: a\ndeploy:\n  port: 80800\n  ready: { tcp: 0 }\n";
    canary_does_not_grow = "service: a\ndeploy:\n  strategy:\n    canary: { steps: [25%, bake 2m, 5%, 100%] }\n";
    canary_does_not_end = "service: a\ndeploy:\n  strategy:\n    canary: { steps: [5%, bake 2m, 50%] }\n";
    analysis_of_nothing = "service: a\ndeploy:\n  strategy:\n    canary: { steps: [5%, 100%], analysis: { min_samples: 50 } }\n";
    canary_without_units = "service: a\ndeploy:\n  strategy:\n    canary: { steps: [10, wait 2m, 100%] }\n";
    unknown_strategy = "service: a\ndeploy:\n  strategy: blue-green\n";
    two_strategies = "service: a\ndeploy:\n  strategy: { rolling: {}, canary: {} }\n";
    rolling_that_cannot_move = "service: a\ndeploy:\n  strategy: { rolling: { max_surge: 0, max_unavailable: 0% } }\n";
    path_outside = "service: a\nimage: { dockerfile: /etc/Dockerfile, context: ../.. }\n";
    literal_secret = "service: a\nimage:\n  secrets: { npm: hunter2 }\n";
    ready_without_a_question = "service: a\ndeploy:\n  ready: { port: 8080 }\ntest:\n  functional:\n    services: { db: { image: x, ready: { http: healthz } } }\n";
    command_as_text = "service: a\ntest:\n  functional:\n    services: { redis: { image: x, command: redis-server --save 60 1 } }\n";
    empty_file = "# nothing but a comment\n";
    not_a_mapping = "- service: a\n";
    second_document = "service: a\n---\nservice: b\n";
    unknown_alias = "service: a\nbuild: { image: x, run: [*build] }\n";
    custom_tag = "service: !name a\n";
    key_that_is_a_list = "service: a\n[a, b]: c\n";
    wide_characters_before_the_mistake = "service: a\nteam: { 配送チーム: x }\nneeds: [配送]\n";
    many_at_once = "service: A\nteam: no\nneeds: [B]\nbuild: { run: [make], timeout: soon }\ndeploy: { port: 0, replcas: 3 }\n";
}

mistakes! { organisation:
    platform_without_registries = "environments: { test: {} }\n";
    platform_with_a_literal_secret = "registries:\n  development: { address: localhost:5000 }\n  production: { address: r.example.org, credentials: \"bob:hunter2\" }\nenvironments: { test: {} }\n";
    platform_with_bad_addresses = "registries:\n  development: { address: \"http://localhost:5000\" }\n  production: { address: r.example.org/team, endpoint: r.example.org }\nenvironments: { test: {} }\n";
    platform_in_wrong_order = "registries:\n  development: { address: localhost:5000 }\n  production: { address: r.example.org }\nenvironments:\n  production: { production: true }\n  test: {  production: false }\n";
    platform_with_unknown_target = "registries:\n  development: { address: localhost:5000 }\n  production: { address: r.example.org }\nenvironments:\n  Test: { target: dcoker, approvals: yes }\n  production: { target: { kubernetes: { name: x } } }\n";
    platform_with_a_bad_cluster = "registries:\n  development: { address: localhost:5000 }\n  production: { address: r.example.org }\nenvironments:\n  test: { target: { kubernetes: { kubeconfig: \"kubernetes:a/b/c\", namespace: Shop, registry: \"http://r:5000\" } } }\n  production:\n    target: { kubernetes: { kubeconfig: /root/.kube/config, image_pull_secrets: [good.one, Bad_One], overwrite_changes: maybe, cluster: x } }\n";
    platform_without_environments = "registries:\n  development: { address: localhost:5000 }\n  production: { address: r.example.org, prefix: Team }\nenvironments: {}\nconventions: { image: service }\n";
}

fn read(text: &str) -> ServiceSpec {
    spec::parse("slipway.yaml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn files_that_do_not_exist_are_named() {
    let text = "service: a\nbuild: { dockerfile: ci/Dockerfile, run: [make] }\ntest:\n  functional: { compose: compose.yml }\ndeploy:\n  manifests: ./deploy/\ncontracts: { provides: [openapi.yaml], consumes: { b: contracts/b.yaml } }\n";
    let there = ["openapi.yaml", "deploy"];
    let found = spec::check_files("slipway.yaml", text, &read(text), |path| {
        there.contains(&path)
    });
    assert_eq!(found.len(), 4);
    insta::assert_snapshot!("missing_files", found.render(false));
}

#[test]
fn a_missing_dockerfile_is_named_without_a_slipway_yaml() {
    let spec = ServiceSpec::for_dockerfile_only("a".parse().unwrap());
    let found = spec::check_files("Dockerfile", "", &spec, |_| false);
    insta::assert_snapshot!("missing_dockerfile", found.render(false));
}

#[test]
fn an_unknown_environment_is_named() {
    let text = "service: a\ndeploy:\n  environments:\n    prodction: { replicas: 3 }\n    test: { replicas: 1 }\n";
    let platform =
        platform::PlatformSpec::default_for_one_machine("localhost:5000", "localhost:5001");
    let found = spec::check_environments("slipway.yaml", text, &read(text), &platform);
    assert_eq!(found.len(), 1);
    insta::assert_snapshot!("unknown_environment", found.render(false));
}

#[test]
fn comparisons_are_refused_where_nobody_counts_and_doubted_where_nothing_is_compared() {
    let text = r"service: a
deploy:
  strategy:
    canary:
      steps: [5%, bake 2m, 100%]
      analysis:
        errors: { max_increase: 1% }
        latency: { max_increase: 20% }
  environments:
    test:
      strategy:
        blue_green:
          analysis: { errors: { max_increase: 1% } }
";
    let mut platform =
        platform::PlatformSpec::default_for_one_machine("localhost:5000", "localhost:5001");
    let found = spec::check_environments("slipway.yaml", text, &read(text), &platform);
    assert!(!found.has_errors(), "a preview alone is only doubtful");
    let production: domain::ids::EnvironmentName = "production".parse().unwrap();
    platform.environments[&production].target = platform::Target::Kubernetes(Default::default());
    let found = spec::check_environments("slipway.yaml", text, &read(text), &platform);
    assert_eq!(found.len(), 2);
    insta::assert_snapshot!("comparisons_without_counts", found.render(false));
    let loaded = text.replace("analysis: { errors", "analysis: { load: {}, errors");
    let found = spec::check_environments("slipway.yaml", &loaded, &read(&loaded), &platform);
    assert_eq!(found.len(), 1);
}

fn needs(services: &[(&str, &str)]) -> Diagnostics {
    let read: Vec<_> = services
        .iter()
        .map(|(p, t)| ((*p).to_owned(), (*t).to_owned(), read(t)))
        .collect();
    spec::check_needs(&read)
}

#[test]
fn needs_in_a_circle_are_named_in_their_order() {
    let found = needs(&[
        ("a/slipway.yaml", "service: a\nneeds: [b]\n"),
        ("b/slipway.yaml", "service: b\nneeds: [c, d]\n"),
        ("c/slipway.yaml", "service: c\nneeds:\n  - d\n  - a\n"),
        ("d/slipway.yaml", "service: d\n"),
    ]);
    assert_eq!(found.len(), 1);
    insta::assert_snapshot!("circular_needs", found.render(false));
}

#[test]
fn a_service_that_needs_itself_or_shares_its_name_is_an_error_and_an_unknown_one_a_warning() {
    let found = needs(&[
        (
            "a/slipway.yaml",
            "service: delivery\nneeds: [delivery, pakage]\n",
        ),
        ("b/slipway.yaml", "service: package\n"),
        ("c/slipway.yaml", "service: package\n"),
    ]);
    let severities: Vec<Severity> = found.iter().map(|d| d.severity).collect();
    assert_eq!(
        severities,
        [Severity::Error, Severity::Warning, Severity::Error]
    );
    insta::assert_snapshot!("doubtful_needs", found.render(false));
}

#[test]
fn a_long_chain_of_needs_is_no_circle_and_overflows_nothing() {
    let services: Vec<(String, String)> = (0..3000)
        .map(|i| {
            (
                format!("s{i}/slipway.yaml"),
                format!("service: s{i}\nneeds: [s{}]\n", (i + 1).min(2999)),
            )
        })
        .collect();
    let found = needs(
        &services
            .iter()
            .map(|(p, t)| (p.as_str(), t.as_str()))
            .collect::<Vec<_>>(),
    );
    assert_eq!(found.len(), 1, "only the last needs itself: {found}");
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused_unread() {
    let text = format!("service: a\nteam: {}\n", "x".repeat(1024 * 1024));
    let problems = spec::parse("slipway.yaml", &text).expect_err("too long");
    assert!(
        problems.to_string().contains("at most 1048576 are read"),
        "{problems:?}"
    );
    assert!(
        problems.to_string().len() < 1000,
        "the file itself is not shown"
    );
}

#[test]
fn aliases_that_multiply_are_stopped() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let inner = vec![format!("*a{}", i - 1); 9].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{inner}]\n"));
    }
    let problems = spec::parse("slipway.yaml", &text).expect_err("a bomb");
    assert!(
        problems.to_string().contains("more than 20000 values"),
        "{problems}"
    );
}

#[test]
fn deep_nesting_is_stopped() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!("service: {}{}", open.repeat(100_000), close.repeat(100_000));
        let problems = spec::parse("slipway.yaml", &text).expect_err("too deep");
        assert!(
            problems.to_string().contains("nested too deeply"),
            "{}",
            problems.iter().next().unwrap().message
        );
    }
    let block: String = (0..500).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    assert!(spec::parse("slipway.yaml", &block).is_err());
    let dashes = format!("service: a\nneeds:\n  {}x\n", "- ".repeat(50_000));
    assert!(spec::parse("slipway.yaml", &dashes).is_err());
}

#[test]
fn positions_count_lines_and_characters_from_one() {
    let problems = spec::parse(
        "slipway.yaml",
        "service: a\nteam: { ü: x }\ndeploy: { env: { ü: x, y: no } }\n",
    )
    .unwrap_err();
    let last = problems.iter().last().unwrap();
    assert_eq!((last.line, last.column), (3, 27), "{problems}");
    assert_eq!(
        &"service: a\nteam: { ü: x }\ndeploy: { env: { ü: x, y: no } }\n"[last.span.clone()],
        "no"
    );
}
