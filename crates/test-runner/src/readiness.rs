//! When a container counts as ready: what to ask it, and for how long.

use std::time::Duration;

use domain::spec::{Deploy, FunctionalTest, Probe, Readiness};

/// How long a container may take to get ready if nobody says otherwise.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The port that the service is told to listen on if neither its file nor its image names one; the deployer's too.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// What to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    /// GET of the path answers 2xx or 3xx; without a port the one that the image exposes.
    Http {
        /// The path.
        path: String,
        /// The port.
        port: Option<u16>,
    },
    /// The port takes connections.
    Tcp(u16),
    /// A program in the container ends with 0.
    Command(Vec<String>),
    /// It runs for a moment, or its image's own health check passes.
    Running,
    /// It ends with 0: a preparation for others.
    Completed,
}

/// What to wait for, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) sign: Sign,
    pub(crate) timeout: Duration,
}

impl Check {
    /// A check that may take as long as any.
    pub(crate) fn for_(sign: Sign) -> Self {
        Self {
            sign,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// The check that a service file asks for.
    pub(crate) fn of(ready: &Readiness) -> Self {
        let sign = match &ready.probe {
            Probe::Http { path, port } => Sign::Http {
                path: path.clone(),
                port: *port,
            },
            Probe::Tcp { port } => Sign::Tcp(*port),
            Probe::Command(line) => Sign::Command(shell(line)),
        };
        Self {
            sign,
            timeout: ready
                .timeout
                .map_or(DEFAULT_TIMEOUT, |timeout| timeout.get()),
        }
    }
}

/// How the image under test is started and waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entrance {
    /// Where it is told to listen.
    pub(crate) port: u16,
    /// When it counts as ready.
    pub(crate) check: Check,
}

/// From the functional tests, or else from `deploy`, or else from what the image exposes. Where nothing is known, it
/// is enough that the container runs.
pub(crate) fn entrance(
    tests: &FunctionalTest,
    deploy: Option<&Deploy>,
    exposed: &[u16],
) -> Entrance {
    let known = deploy
        .and_then(|deploy| deploy.port)
        .or_else(|| exposed.iter().min().copied());
    let ready = tests
        .ready
        .as_ref()
        .or_else(|| deploy.and_then(|deploy| deploy.ready.as_ref()));
    let asked = ready.and_then(|ready| match ready.probe {
        Probe::Http { port, .. } => port,
        Probe::Tcp { port } => Some(port),
        Probe::Command(_) => None,
    });
    let port = known.or(asked).unwrap_or(DEFAULT_PORT);
    let mut check = match (ready, known) {
        (Some(ready), _) => Check::of(ready),
        (None, Some(port)) => Check::for_(Sign::Tcp(port)),
        (None, None) => Check::for_(Sign::Running),
    };
    if let Sign::Http {
        port: unsaid @ None,
        ..
    } = &mut check.sign
    {
        *unsaid = Some(port);
    }
    Entrance { port, check }
}

/// A command line for the container's shell.
pub(crate) fn shell(line: &str) -> Vec<String> {
    ["sh", "-c", line].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(yaml: &str) -> (FunctionalTest, Option<Deploy>) {
        let file = format!("service: delivery\n{yaml}");
        let spec = domain::spec::parse("slipway.yaml", &file)
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        (spec.test.functional.unwrap(), spec.deploy)
    }

    fn entrance_of(yaml: &str, exposed: &[u16]) -> Entrance {
        let (functional, deploy) = tests(yaml);
        entrance(&functional, deploy.as_ref(), exposed)
    }

    #[test]
    fn the_tests_own_check_comes_first() {
        let yaml = "test: { functional: { ready: { http: /up, timeout: 5s } } }\n\
                    deploy: { port: 9000, ready: { tcp: 1 } }";
        let entrance = entrance_of(yaml, &[80]);
        assert_eq!(entrance.port, 9000);
        let sign = Sign::Http {
            path: "/up".to_owned(),
            port: Some(9000),
        };
        assert_eq!(
            entrance.check,
            Check {
                sign,
                timeout: Duration::from_secs(5)
            }
        );
    }

    #[test]
    fn then_that_of_deploy_then_its_port_then_the_images() {
        let functional = "test: { functional: { run: ['true'] } }";
        let sign = |rest: &str, exposed: &[u16]| {
            entrance_of(&format!("{functional}\n{rest}"), exposed)
                .check
                .sign
        };
        let http = Sign::Http {
            path: "/healthz".to_owned(),
            port: Some(81),
        };
        assert_eq!(
            sign("deploy: { ready: { http: /healthz, port: 81 } }", &[]),
            http
        );
        assert_eq!(sign("deploy: { port: 82 }", &[80]), Sign::Tcp(82));
        assert_eq!(sign("", &[8443, 80]), Sign::Tcp(80));
        assert_eq!(sign("", &[]), Sign::Running);
    }

    #[test]
    fn a_port_that_only_the_check_names_is_the_services() {
        let entrance = entrance_of("test: { functional: { ready: { tcp: 7000 } } }", &[]);
        assert_eq!(entrance.port, 7000);
        assert_eq!(
            entrance_of("test: { functional: { run: ['true'] } }", &[]).port,
            DEFAULT_PORT
        );
    }
}
