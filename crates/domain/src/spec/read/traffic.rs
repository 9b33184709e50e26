//! `router`, `testers` and `sticky` of a canary from the tree.

use super::super::traffic::{
    HttpRoute, RouterKind, Sticky, Testers, TrafficRouter, VirtualService,
};
use super::required;
use crate::document::{Fields, Node, Reader, Value, refuse_both};

const KINDS: [&str; 3] = ["gateway_api", "istio", "linkerd"];

pub(super) fn router(r: &mut Reader<'_>, canary: &Fields<'_>) -> Option<TrafficRouter> {
    let known = ["gateway_api", "istio", "linkerd", "stable", "canary"];
    let fields = r.section(canary, "router", &known)?;
    let stable = backend(r, &fields, "stable");
    let canary = backend(r, &fields, "canary");
    if let (Some(same), Some(node)) = (stable.as_ref(), fields.get("canary"))
        && canary.as_ref() == Some(same)
    {
        r.error_help(
            node.span.clone(),
            format!("`{}`: both versions would be {same:?}", fields.what),
            "give each another name, or leave both out",
        );
    }
    let kind = kind(r, &fields)?;
    Some(TrafficRouter {
        kind,
        stable,
        canary,
    })
}

fn kind(r: &mut Reader<'_>, router: &Fields<'_>) -> Option<RouterKind> {
    for (index, one) in KINDS.iter().enumerate() {
        for other in &KINDS[index + 1..] {
            if refuse_both(r, router, one, other) {
                return None;
            }
        }
    }
    if router.entry("gateway_api").is_some() {
        return http_route(r, router, "gateway_api").map(RouterKind::GatewayApi);
    }
    if router.entry("linkerd").is_some() {
        return http_route(r, router, "linkerd").map(RouterKind::Linkerd);
    }
    if router.entry("istio").is_some() {
        return virtual_service(r, router).map(RouterKind::Istio);
    }
    r.error_help(
        router.span.clone(),
        format!("`{}` names no router", router.what),
        "add one of `gateway_api: { route: NAME }`, `istio: { virtual_service: NAME }` and `linkerd: { route: NAME }`",
    );
    None
}

fn http_route(r: &mut Reader<'_>, router: &Fields<'_>, key: &str) -> Option<HttpRoute> {
    let fields = r.section(router, key, &["route"])?;
    let route = required(r, &fields, "route", "route: orders")?;
    let route = object_name(r, fields.get("route")?, &fields.path("route"), route)?;
    Some(HttpRoute { route })
}

fn virtual_service(r: &mut Reader<'_>, router: &Fields<'_>) -> Option<VirtualService> {
    let known = ["virtual_service", "routes", "destination_rule"];
    let fields = r.section(router, "istio", &known)?;
    let name = required(r, &fields, "virtual_service", "virtual_service: orders");
    let name = name.and_then(|text| {
        let what = fields.path("virtual_service");
        object_name(r, fields.get("virtual_service")?, &what, text)
    });
    let routes = r.texts(&fields, "routes");
    let rule = r.name(&fields, "destination_rule");
    let rule = rule.and_then(|text| {
        let what = fields.path("destination_rule");
        object_name(r, fields.get("destination_rule")?, &what, text)
    });
    Some(VirtualService {
        virtual_service: name?,
        routes,
        destination_rule: rule,
    })
}

fn backend(r: &mut Reader<'_>, router: &Fields<'_>, key: &str) -> Option<String> {
    let text = r.name(router, key)?;
    object_name(r, router.get(key)?, &router.path(key), text)
}

/// The name of an object of Kubernetes: a DNS subdomain.
fn object_name(r: &mut Reader<'_>, node: &Node, what: &str, text: String) -> Option<String> {
    let part = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let ends = part.starts_with('-') || part.ends_with('-');
        !part.is_empty() && !ends && part.bytes().all(inner)
    };
    if text.len() <= 253 && text.split('.').all(part) {
        return Some(text);
    }
    r.error_help(
        node.span.clone(),
        format!("`{what}`: {text:?} can't be the name of an object of Kubernetes"),
        "write the name alone: a-z, 0-9, `-` and `.`",
    );
    None
}

pub(super) fn testers(r: &mut Reader<'_>, canary: &Fields<'_>) -> Option<Testers> {
    let fields = r.section(canary, "testers", &["header", "cookie"])?;
    if refuse_both(r, &fields, "header", "cookie") {
        return None;
    }
    if fields.entry("header").is_none() && fields.entry("cookie").is_none() {
        r.error_help(
            fields.span.clone(),
            format!("`{}` does not say who is a tester", fields.what),
            "add `header: x-canary=always` or `cookie: canary=always`",
        );
        return None;
    }
    let header = r.parsed(&fields, "header").map(Testers::Header);
    header.or_else(|| r.parsed(&fields, "cookie").map(Testers::Cookie))
}

/// `sticky: NAME`, or with a lifetime.
pub(super) fn sticky(r: &mut Reader<'_>, canary: &Fields<'_>) -> Option<Sticky> {
    let node = canary.get("sticky")?;
    if let Value::Scalar { .. } = node.value {
        return r.parsed(canary, "sticky").map(Sticky::by);
    }
    let fields = r.section(canary, "sticky", &["cookie", "lifetime"])?;
    if fields.get("cookie").is_none() {
        r.missing(&fields, "cookie", "cookie: orders-version");
    }
    let cookie = r.parsed(&fields, "cookie");
    let lifetime = r.parsed(&fields, "lifetime");
    let sticky = Sticky::by(cookie?);
    Some(Sticky {
        lifetime: lifetime.unwrap_or(sticky.lifetime),
        ..sticky
    })
}
