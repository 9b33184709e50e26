//! The section `test` from the tree, and what counts as ready.

use super::super::test::{
    Dependencies, DependencyService, FunctionalTest, IntegrationTest, LoadTest, Probe, Readiness,
    Tests, UnitTest,
};
use super::{label_text, required, resources};
use crate::document::{Fields, Reader, refuse_both};
use crate::ids::ServiceName;

/// All tests; `built` is whether there is a workspace image to run them in.
pub(super) fn tests(
    r: &mut Reader<'_>,
    root: &Fields<'_>,
    service: Option<&ServiceName>,
    built: bool,
) -> Tests {
    let Some(fields) = r.section(root, "test", &["unit", "functional", "integration", "load"])
    else {
        return Tests::default();
    };
    Tests {
        unit: unit(r, &fields, built),
        functional: functional(r, &fields, service),
        integration: integration(r, &fields, built),
        load: load(r, &fields),
    }
}

fn unit(r: &mut Reader<'_>, tests: &Fields<'_>, built: bool) -> Option<UnitTest> {
    let known = ["run", "reports", "env", "timeout", "image", "resources"];
    let fields = r.section(tests, "unit", &known)?;
    need_a_place(r, &fields, built);
    Some(UnitTest {
        run: r.run(&fields, "run: [make test]"),
        reports: reports(r, &fields),
        env: r.variables(&fields, "env"),
        timeout: r.parsed(&fields, "timeout"),
        image: r.name(&fields, "image"),
        resources: resources(r, &fields).unwrap_or_default(),
    })
}

fn integration(r: &mut Reader<'_>, tests: &Fields<'_>, built: bool) -> Option<IntegrationTest> {
    let fields = r.section(
        tests,
        "integration",
        &["run", "image", "env", "reports", "timeout"],
    )?;
    need_a_place(r, &fields, built);
    Some(IntegrationTest {
        run: r.run(&fields, "run: [make integration-test]"),
        image: r.name(&fields, "image"),
        env: r.variables(&fields, "env"),
        reports: reports(r, &fields),
        timeout: r.parsed(&fields, "timeout"),
    })
}

/// Tests run in the workspace image or in one of their own.
fn need_a_place(r: &mut Reader<'_>, fields: &Fields<'_>, built: bool) {
    if !built && fields.entry("image").is_none() {
        let message = format!("`{}` has no image to run in", fields.what);
        let help = "name one with `image`, or add a `build` section, whose workspace image is used";
        r.error_help(fields.span.clone(), message, help);
    }
}

fn functional(
    r: &mut Reader<'_>,
    tests: &Fields<'_>,
    service: Option<&ServiceName>,
) -> Option<FunctionalTest> {
    let known = [
        "services", "compose", "env", "ready", "image", "run", "reports", "timeout",
    ];
    let fields = r.section(tests, "functional", &known)?;
    let dependencies = if refuse_both(r, &fields, "services", "compose") {
        None
    } else if fields.get("compose").is_some() {
        r.path(&fields, "compose").map(Dependencies::Compose)
    } else {
        fields
            .get("services")
            .map(|_| dependencies(r, &fields, service))
    };
    Some(FunctionalTest {
        dependencies,
        env: r.variables(&fields, "env"),
        ready: readiness(r, &fields, true),
        image: r.name(&fields, "image"),
        run: r.texts(&fields, "run"),
        reports: reports(r, &fields),
        timeout: r.parsed(&fields, "timeout"),
    })
}

fn dependencies(
    r: &mut Reader<'_>,
    functional: &Fields<'_>,
    service: Option<&ServiceName>,
) -> Dependencies {
    Dependencies::Services(r.named(functional, "services", |r, entry, what| {
        let name: ServiceName = label_text(r, entry.key_span.clone(), what, &entry.key)?;
        if Some(&name) == service {
            let message = format!("`{what}` has the name of the service under test");
            r.error_help(
                entry.key_span.clone(),
                message,
                "give it another name; names are host names",
            );
        }
        let fields = r.fields(&entry.value, what, &["image", "env", "command", "ready"])?;
        let fields = fields.at(entry.key_span.clone());
        let image = required(r, &fields, "image", "image: redis:7");
        let env = r.variables(&fields, "env");
        let command = r.arguments(&fields, "command");
        let ready = readiness(r, &fields, false);
        Some(DependencyService {
            image: image?,
            env,
            command,
            ready,
        })
    }))
}

fn load(r: &mut Reader<'_>, tests: &Fields<'_>) -> Option<LoadTest> {
    let default = LoadTest::default();
    let fields = r.section(
        tests,
        "load",
        &["path", "rate", "duration", "p99", "errors"],
    )?;
    Some(LoadTest {
        path: url_path(r, &fields, "path").unwrap_or(default.path),
        rate: r
            .number(&fields, "rate", 1, 1_000_000)
            .unwrap_or(default.rate),
        duration: r.parsed(&fields, "duration").unwrap_or(default.duration),
        p99: r.parsed(&fields, "p99"),
        errors: r.parsed(&fields, "errors").unwrap_or(default.errors),
    })
}

fn reports(r: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<String> {
    let what = fields.path("reports");
    let patterns = r.nodes(fields, "reports").unwrap_or_default();
    patterns
        .into_iter()
        .filter_map(|(node, text)| r.inside(node, text, &what))
        .collect()
}

/// The key `ready`; `port_known` is whether `http` without a port has one to ask.
pub(super) fn readiness(
    r: &mut Reader<'_>,
    parent: &Fields<'_>,
    port_known: bool,
) -> Option<Readiness> {
    let fields = r.section(
        parent,
        "ready",
        &["http", "port", "tcp", "command", "timeout"],
    )?;
    let timeout = r.parsed(&fields, "timeout");
    let both = refuse_both(r, &fields, "http", "tcp")
        || refuse_both(r, &fields, "http", "command")
        || refuse_both(r, &fields, "tcp", "command");
    if both {
        return None;
    }
    if fields.entry("http").is_none()
        && let Some(port) = fields.entry("port")
    {
        let message = format!("`{}` goes only with `http`", fields.path("port"));
        r.error_help(
            port.key_span.clone(),
            message,
            "for a port that accepts connections write `tcp` instead of `port`",
        );
        return None;
    }
    let probe = if fields.entry("http").is_some() {
        let port = r.port(&fields, "port");
        if !port_known && fields.get("port").is_none() {
            r.missing(&fields, "port", "port: 8080");
        }
        Probe::Http {
            path: url_path(r, &fields, "http")?,
            port,
        }
    } else if fields.entry("command").is_some() {
        Probe::Command(r.name(&fields, "command")?)
    } else {
        if fields.get("tcp").is_none() {
            let message = format!("`{}` does not say how to ask", fields.what);
            r.error_help(
                fields.span.clone(),
                message,
                "add one of `http: /path`, `tcp: 8080` and `command: pg_isready`",
            );
        }
        Probe::Tcp {
            port: r.port(&fields, "tcp")?,
        }
    };
    Some(Readiness { probe, timeout })
}

/// A path of a URL.
pub(super) fn url_path(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<String> {
    let path = r.text(fields, key)?;
    if path.starts_with('/') && !path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some(path);
    }
    let message = format!(
        "`{}` must be the path of a URL, beginning with `/`",
        fields.path(key)
    );
    r.error_help(
        fields.get(key)?.span.clone(),
        message,
        "write it without scheme and host, such as `/healthz`",
    );
    None
}
