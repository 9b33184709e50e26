//! `on_failure`, `router`, `testers` and `sticky` of a strategy: what is read, and what a person sees for each kind of
//! mistake.

use domain::spec::{self, Canary, OnFailure, RouterKind, Strategy, Testers, TimeSpan};

fn file(keys: &str) -> String {
    let keys: String = keys.lines().map(|line| format!("      {line}\n")).collect();
    format!("service: delivery\ndeploy:\n  strategy:\n    canary:\n{keys}")
}

fn accept(keys: &str) -> Canary {
    let spec = spec::parse("slipway.yaml", &file(keys)).unwrap_or_else(|wrong| panic!("{wrong}"));
    match spec.deploy.expect("deploy").strategy {
        Strategy::Canary(canary) => canary,
        other => panic!("{other:?}"),
    }
}

const FULL: &str = "\
steps: [5%, 100%]
on_failure: hold
router:
  istio: { virtual_service: delivery, routes: [primary], destination_rule: delivery }
  stable: old
  canary: new
testers: { header: \"x-canary=always\" }
sticky: { cookie: delivery-version, lifetime: 10m }
";

#[test]
fn every_key_is_read_and_kept() {
    let canary = accept(FULL);
    let json = serde_json::to_value(&canary).expect("it has only text keys");
    assert_eq!(
        serde_json::from_value::<Canary>(json.clone()).expect("its own form"),
        canary
    );
    insta::assert_json_snapshot!(json);
}

#[test]
fn short_forms_mean_the_defaults() {
    let canary = accept(
        "router: { gateway_api: { route: shop } }\ntesters: { cookie: canary=always }\nsticky: v",
    );
    let router = canary.router.expect("a router");
    assert!(matches!(&router.kind, RouterKind::GatewayApi(route) if route.route == "shop"));
    assert_eq!((router.stable, router.canary), (None, None));
    assert!(matches!(canary.testers, Some(Testers::Cookie(_))));
    let sticky = canary.sticky.expect("a cookie");
    assert_eq!(sticky.lifetime, TimeSpan::from_secs(3600));
    assert_eq!(canary.on_failure, OnFailure::Rollback);
    let linkerd = accept("router: { linkerd: { route: shop }, stable: a, canary: b }");
    assert!(matches!(
        linkerd.router.expect("a router").kind,
        RouterKind::Linkerd(_)
    ));
    let none = accept("steps: [5%, 100%]");
    assert_eq!((none.router, none.testers, none.sticky), (None, None, None));
}

#[test]
fn blue_green_can_be_held_and_a_rolling_update_can_not() {
    let held = "service: a\ndeploy:\n  strategy: { blue_green: { on_failure: hold } }\n";
    let spec = spec::parse("slipway.yaml", held).unwrap_or_else(|wrong| panic!("{wrong}"));
    let strategy = spec.deploy.expect("deploy").strategy;
    assert!(matches!(strategy, Strategy::BlueGreen(b) if b.on_failure == OnFailure::Hold));
    let rolling = "service: a\ndeploy:\n  strategy: { rolling: { on_failure: hold } }\n";
    assert!(spec::parse("slipway.yaml", rolling).is_err());
}

/// One test for each mistake, with the text that is shown for it.
macro_rules! mistakes {
    ($($name:ident = $keys:expr;)*) => {$(
        #[test]
        fn $name() {
            let wrong = spec::parse("slipway.yaml", &file($keys)).expect_err("this is wrong");
            insta::assert_snapshot!(stringify!($name), wrong.render(false));
        }
    )*};
}

mistakes! {
    unknown_answer = "on_failure: wait";
    no_router = "router: { stable: a }";
    two_routers = "router: { linkerd: { route: a }, istio: { virtual_service: a } }";
    router_as_text = "router: istio";
    router_without_a_route = "router: { gateway_api: }";
    router_of_another_tool = "router: { gateway_api: { httpRoute: a } }";
    names_that_no_object_has = "router: { istio: { virtual_service: Shop, destination_rule: a_b }, canary: -c }";
    both_versions_alike = "router: { linkerd: { route: a }, stable: a, canary: a }";
    nobody_tests = "testers: {}";
    two_kinds_of_testers = "testers: { header: a=b, cookie: a=b }";
    tester_without_a_value = "testers: { header: x-canary }";
    sticky_without_a_cookie = "sticky: { lifetime: 1h }";
    sticky_with_a_bad_name = "sticky: a b";
}
