//! What is right is read as it was meant.

use domain::platform::{self, PlatformSpec, Target};
use domain::spec::{
    self, BuildContainer, CanaryStep, Dependencies, Deploy, Probe, ServiceSpec, Strategy, TimeSpan,
};

const EXAMPLE: &str = include_str!("example.yaml");
const FULL: &str = include_str!("full.yaml");
const PLATFORM: &str = include_str!("platform.yaml");

fn accept(text: &str) -> ServiceSpec {
    spec::parse("slipway.yaml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_example_of_the_design_is_read_whole() {
    let spec = accept(EXAMPLE);
    assert_eq!(spec.service.as_str(), "delivery");
    let functional = spec.test.functional.as_ref().expect("functional tests");
    let Some(Dependencies::Services(services)) = &functional.dependencies else {
        panic!("{functional:?}")
    };
    assert_eq!(
        services["redis"].ready.as_ref().expect("ready").probe,
        Probe::Tcp { port: 6379 }
    );
    let deploy = spec.deploy.as_ref().expect("deploy");
    let Strategy::Canary(canary) = &deploy.strategy else {
        panic!("{deploy:?}")
    };
    assert_eq!(canary.steps.len(), 5);
    assert_eq!(canary.steps[1], CanaryStep::Bake(TimeSpan::from_secs(120)));
    insta::assert_json_snapshot!(spec);
}

#[test]
fn every_other_key_is_read_too() {
    insta::assert_json_snapshot!(accept(FULL));
}

#[test]
fn a_name_is_enough() {
    let spec = accept("service: delivery\n");
    assert_eq!(
        spec,
        ServiceSpec {
            deploy: None,
            ..ServiceSpec::for_dockerfile_only("delivery".parse().unwrap())
        }
    );
    assert_eq!(
        (spec.image.dockerfile.as_str(), spec.image.context.as_str()),
        ("Dockerfile", ".")
    );
}

#[test]
fn an_empty_deploy_section_has_the_defaults() {
    assert_eq!(
        accept("service: a\ndeploy:\n").deploy,
        Some(Deploy::default())
    );
    assert_eq!(
        accept("service: a\ndeploy: {}\n").deploy,
        Some(Deploy::default())
    );
}

#[test]
fn aliases_repeat_what_they_name() {
    let spec = accept(
        "service: a\nbuild: { image: x, run: make, env: &env { A: '1' } }\ntest: { unit: { run: t, env: *env } }\n",
    );
    assert_eq!(
        spec.test.unit.expect("unit").env,
        spec.build.expect("build").env
    );
}

#[test]
fn numbers_in_variables_keep_their_digits() {
    let spec = accept(FULL);
    assert_eq!(spec.image.args["VERSION"], "1.10");
    assert_eq!(spec.build.expect("build").env["MODE"], "no");
}

#[test]
fn the_oldest_kept_form_of_a_specification_is_still_read() {
    let spec: ServiceSpec =
        serde_json::from_str(r#"{"service":"delivery"}"#).expect("every other field has a default");
    assert_eq!(spec, accept("service: delivery"));
    let newer = r#"{"service":"delivery","new":1,"image":{"new":2},"build":{"image":"x","new":3}}"#;
    let spec: ServiceSpec =
        serde_json::from_str(newer).expect("fields of a newer version are passed over");
    assert_eq!(
        spec.build.expect("build").container,
        BuildContainer::Image("x".to_owned())
    );
}

#[test]
fn a_platform_file_is_read_whole() {
    let platform =
        platform::parse("platform.yaml", PLATFORM).unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<(&str, bool)> = platform
        .environments
        .iter()
        .map(|(n, e)| (n.as_str(), e.production))
        .collect();
    assert_eq!(
        names,
        [("test", false), ("staging", false), ("production", true)]
    );
    let service = "delivery".parse().unwrap();
    assert_eq!(
        platform.production_repository(&service),
        "registry.example.org/shop/services/shop-delivery"
    );
    assert_eq!(
        platform.registries.development.endpoint(),
        "http://registry-development:5000"
    );
    assert_eq!(
        platform.registries.production.endpoint(),
        "https://registry.example.org"
    );
    assert!(
        matches!(&platform.environments[2].target, Target::Kubernetes(k) if k.namespace.as_deref() == Some("shop"))
    );
    insta::assert_json_snapshot!(platform);
}

#[test]
fn the_default_platform_writes_and_reads_back() {
    let platform = PlatformSpec::default_for_one_machine("127.0.0.1:5000", "127.0.0.1:5001");
    let text = serde_saphyr::to_string(&platform).unwrap();
    assert_eq!(
        platform::parse("platform.yaml", &text)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}")),
        platform
    );
    let error = platform.environment("prod").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no environment `prod`; there are `test`, `production`"
    );
}
