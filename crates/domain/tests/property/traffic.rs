//! What a canary gets besides its share, at random.

use domain::spec::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::strategy::Strategy;

fn object() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z0-9]{1,5})?"
}

pub(super) fn on_failure() -> impl Strategy<Value = OnFailure> {
    prop_oneof![Just(OnFailure::Rollback), Just(OnFailure::Hold)]
}

pub(super) fn router() -> impl Strategy<Value = TrafficRouter> {
    let istio = (object(), vec(super::text(), 0..3), of(object())).prop_map(
        |(virtual_service, routes, destination_rule)| VirtualService {
            virtual_service,
            routes,
            destination_rule,
        },
    );
    let kind = prop_oneof![
        object().prop_map(|route| RouterKind::GatewayApi(HttpRoute { route })),
        object().prop_map(|route| RouterKind::Linkerd(HttpRoute { route })),
        istio.prop_map(RouterKind::Istio),
    ];
    (kind, of("s[a-z]{1,5}"), of("c[a-z]{1,5}")).prop_map(|(kind, stable, canary)| TrafficRouter {
        kind,
        stable,
        canary,
    })
}

pub(super) fn testers() -> impl Strategy<Value = Testers> {
    let marker = "[A-Za-z0-9-]{1,8}=[!#-+./:<-~=-]{1,8}"
        .prop_filter_map("a marker", |text| text.parse::<Marker>().ok());
    (marker, any::<bool>()).prop_map(|(marker, is_header)| {
        if is_header {
            Testers::Header(marker)
        } else {
            Testers::Cookie(marker)
        }
    })
}

pub(super) fn sticky() -> impl Strategy<Value = Sticky> {
    ("[A-Za-z0-9_-]{1,8}", super::time()).prop_map(|(cookie, lifetime)| Sticky {
        cookie: cookie.parse().expect("a name"),
        lifetime,
    })
}
