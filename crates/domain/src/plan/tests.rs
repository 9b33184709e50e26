use super::*;
use crate::run::DeployTarget;

const FULL: &str = "
service: delivery
build: { image: rust, run: make, timeout: 10m }
test:
  unit: { run: make test, timeout: 2m }
  functional: { image: curl, run: curl http://delivery, ready: { http: /, port: 80 } }
  integration: { image: python, run: pytest, timeout: 3m }
  load: { path: /, rate: 10, duration: 30s }
image: { timeout: 20m }
deploy: { deadline: 20m }
";

const TWO: &str = "environments: { test: {}, production: { approvals: 1 } }";
const THREE: &str = "environments: { test: {}, staging: { approvals: 1 }, production: {} }";
const TWO_PRODUCTIONS: &str = "
environments: { test: {}, europe: { production: true }, america: { production: true, approvals: 1 } }
";

fn planned(spec: &str, environments: &str, kind: &Kind) -> Plan {
    let spec = crate::spec::parse("slipway.yaml", spec).unwrap();
    let registries = "registries: { development: { address: \"dev:5000\" }, production: { address: \"prod:5000\" } }";
    let platform =
        crate::platform::parse("platform.yaml", &format!("{registries}\n{environments}\n"))
            .unwrap();
    plan(&spec, &platform, kind)
}

/// The graph, one line for each stage with what it needs.
fn graph(plan: &Plan) -> Vec<String> {
    let needs = |s: &PlannedStage| {
        s.needs
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    plan.stages
        .iter()
        .map(|s| format!("{} <- {}", s.name, needs(s)).trim_end().to_owned())
        .collect()
}

fn target(environment: &str) -> DeployTarget {
    DeployTarget {
        environment: environment.parse().unwrap(),
        origin: "r0".parse().unwrap(),
        repository: "prod:5000/delivery".to_owned(),
        digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
        overwrites_changes: false,
    }
}

#[test]
fn a_change_passes_through_everything_that_the_service_declares() {
    let plan = planned(FULL, TWO, &Kind::Change);
    assert_eq!(
        graph(&plan),
        [
            "build <-",
            "unit-test <- build",
            "image <- build",
            "functional-test <- image",
            "publish <- unit-test functional-test",
            "deploy:test <- publish",
            "integration-test:test <- deploy:test",
            "load-test:test <- integration-test:test",
            "restore:test <- integration-test:test load-test:test",
            "approve:production <- load-test:test",
            "promote <- approve:production",
            "deploy:production <- promote",
        ]
    );
    assert_eq!(plan.development_repository, "dev:5000/delivery");
    assert_eq!(plan.production_repository, "prod:5000/delivery");
}

#[test]
fn a_dockerfile_is_enough() {
    let plan = planned(
        "service: delivery",
        "environments: { test: {}, production: {} }",
        &Kind::Change,
    );
    assert_eq!(
        graph(&plan),
        [
            "image <-",
            "publish <- image",
            "deploy:test <- publish",
            "promote <- deploy:test",
            "deploy:production <- promote",
        ]
    );
}

#[test]
fn unit_tests_need_no_build_stage() {
    let spec = "{ service: delivery, test: { unit: { image: rust, run: make test } } }";
    let plan = planned(
        spec,
        TWO,
        &Kind::Proposal {
            number: "1".to_owned(),
        },
    );
    assert_eq!(graph(&plan), ["unit-test <-", "image <-"]);
}

#[test]
fn a_proposal_is_built_and_tested_but_goes_nowhere() {
    let plan = planned(
        FULL,
        TWO,
        &Kind::Proposal {
            number: "1".to_owned(),
        },
    );
    assert_eq!(
        graph(&plan),
        [
            "build <-",
            "unit-test <- build",
            "image <- build",
            "functional-test <- image"
        ]
    );
    assert_eq!(plan.environments, []);
}

#[test]
fn each_environment_asks_for_its_own_approval() {
    let plan = planned("service: delivery", THREE, &Kind::Change);
    assert_eq!(
        graph(&plan),
        [
            "image <-",
            "publish <- image",
            "deploy:test <- publish",
            "approve:staging <- deploy:test",
            "deploy:staging <- approve:staging",
            "promote <- deploy:staging",
            "deploy:production <- promote",
        ]
    );
}

#[test]
fn a_version_is_promoted_once_before_the_first_production() {
    let plan = planned("service: delivery", TWO_PRODUCTIONS, &Kind::Change);
    assert_eq!(
        graph(&plan)[3..],
        [
            "promote <- deploy:test",
            "deploy:europe <- promote",
            "approve:america <- deploy:europe",
            "deploy:america <- approve:america",
        ]
    );
}

#[test]
fn each_environment_that_is_not_production_is_tested_and_can_be_put_back() {
    let plan = planned(FULL, THREE, &Kind::Change);
    let tests: Vec<_> = graph(&plan)
        .into_iter()
        .filter(|line| line.contains("-test:"))
        .collect();
    assert_eq!(
        tests,
        [
            "integration-test:test <- deploy:test",
            "load-test:test <- integration-test:test",
            "restore:test <- integration-test:test load-test:test",
            "approve:staging <- load-test:test",
            "integration-test:staging <- deploy:staging",
            "load-test:staging <- integration-test:staging",
            "restore:staging <- integration-test:staging load-test:staging",
            "promote <- load-test:staging",
        ]
    );
}

#[test]
fn a_version_is_deployed_where_it_is_asked_for_only() {
    assert_eq!(
        graph(&planned(FULL, THREE, &Kind::Deploy(target("test")))),
        ["deploy:test <-"]
    );
    assert_eq!(
        graph(&planned(FULL, TWO, &Kind::Deploy(target("production")))),
        [
            "approve:production <-",
            "promote <- approve:production",
            "deploy:production <- promote"
        ]
    );
}

#[test]
fn a_rollback_asks_nobody() {
    let plan = planned(FULL, TWO, &Kind::Rollback(target("production")));
    assert_eq!(graph(&plan), ["deploy:production <-"]);
    let names: Vec<_> = plan.environments.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["production"]);
}

#[test]
fn every_stage_comes_after_what_it_needs() {
    for kind in [
        Kind::Change,
        Kind::Proposal {
            number: "1".to_owned(),
        },
        Kind::Deploy(target("production")),
    ] {
        for environments in [TWO, THREE, TWO_PRODUCTIONS] {
            let plan = planned(FULL, environments, &kind);
            for (index, stage) in plan.stages.iter().enumerate() {
                let is_before =
                    |need: &StageName| plan.stages[..index].iter().any(|s| s.name == *need);
                assert!(
                    stage.needs.iter().all(is_before),
                    "{}: {:?}",
                    stage.name,
                    stage.needs
                );
                let same = plan.stages.iter().filter(|s| s.name == stage.name).count();
                assert_eq!(same, 1, "{} is planned once", stage.name);
            }
        }
    }
}

#[test]
fn the_environments_are_kept_as_they_were() {
    let plan = planned(FULL, TWO, &Kind::Change);
    let environments: Vec<_> = plan
        .environments
        .iter()
        .map(|e| (e.name.as_str(), e.approvals, e.production))
        .collect();
    assert_eq!(environments, [("test", 0, false), ("production", 1, true)]);
}

#[test]
fn time_limits_are_the_service_files_or_the_defaults() {
    let minutes = |spec: &str, stage: &str| {
        planned(spec, TWO, &Kind::Change)
            .time_limit(&stage.parse().unwrap())
            .as_secs_f64()
            / 60.0
    };
    let table = [
        ("build", 10.0),
        ("unit-test", 2.0),
        ("image", 20.0),
        ("functional-test", 15.0),
        ("publish", 15.0),
        ("deploy:test", 20.0),
        ("integration-test:test", 3.0),
        ("load-test:test", 15.5),
        ("restore:test", 20.0),
        ("promote", 15.0),
    ];
    for (stage, expected) in table {
        assert!(
            (minutes(FULL, stage) - expected).abs() < 1e-6,
            "{stage}: {}",
            minutes(FULL, stage)
        );
    }
    assert!((minutes("service: delivery", "image") - 30.0).abs() < 1e-6);
    assert!((minutes("service: delivery", "deploy:test") - 15.0).abs() < 1e-6);
    let canary = "service: delivery\ndeploy: { environments: { test: { strategy: canary } } }";
    assert!(
        minutes(canary, "deploy:test") > 24.0 * 60.0,
        "it may wait for a person"
    );
    assert!((minutes(canary, "deploy:production") - 15.0).abs() < 1e-6);
}
