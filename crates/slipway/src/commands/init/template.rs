//! The text of a new `slipway.yaml`.

use std::fmt::Write as _;

use super::language::Language;

/// What is known about a service.
#[derive(Debug)]
pub(super) struct Found {
    /// A valid name.
    pub(super) service: String,
    pub(super) language: Option<&'static Language>,
    /// The port that the Dockerfile exposes.
    pub(super) port: Option<u16>,
    pub(super) has_dockerfile: bool,
}

/// The port of a service of which nothing is known.
const USUAL_PORT: u16 = 8080;

/// The whole file, with comments.
pub(super) fn text(found: &Found) -> String {
    let mut text = String::from(
        "# How Slipway builds, tests and deploys this service. `slipway lint` checks this file.\n\
         # What is left out has a sensible default; a Dockerfile alone is enough.\n\n",
    );
    let _ = writeln!(
        text,
        "service: {}   # a DNS label: names the image, the containers and the routes",
        found.service
    );
    text.push_str("# team: logistics             # who answers for it\n");
    text.push_str("# needs: [package]            # services that must be there first\n\n");
    text.push_str(&build(found.language));
    text.push_str(&tests(found));
    text.push_str(&image(found.has_dockerfile));
    text.push_str(&deploy(found));
    text
}

fn build(language: Option<&Language>) -> String {
    let about =
        "# The build, in a container of your choice; the unit tests run on what it leaves.\n";
    match language {
        Some(l) => format!(
            "{about}build:\n  image: {}\n  run:\n    - {}\n  cache: [{}]   # kept from one build to the next\n\n",
            l.image, l.build, l.cache
        ),
        None => format!(
            "{about}# build:\n#   image: debian:bookworm-slim\n#   run: [make]\n#   cache: [build]\n\n"
        ),
    }
}

fn tests(found: &Found) -> String {
    let port = found.port.unwrap_or(USUAL_PORT);
    let mut text = String::new();
    match found.language {
        Some(language) => {
            let _ = write!(
                text,
                "test:\n  unit:\n    run:\n      - {}\n",
                language.test
            );
            match language.reports {
                "" => text.push_str("    # reports: [reports/*.xml]   # JUnit reports: failing tests are shown by name\n"),
                reports => {
                    let _ = writeln!(text, "    reports: [\"{reports}\"]   # JUnit: failing tests are shown by name");
                }
            }
        }
        None => text.push_str(
            "# test:\n#   unit:\n#     run: [make test]   # in the container of `build`\n",
        ),
    }
    let _ = write!(
        text,
        "#   functional:                # the running image, alone with what it depends on\n\
         #     services: {{ redis: {{ image: \"redis:7\", ready: {{ tcp: 6379 }} }} }}\n\
         #     env: {{ REDIS_URL: \"redis://redis:6379\" }}\n\
         #     image: curlimages/curl:8\n\
         #     run: [\"curl -fsS http://{}:{port}/healthz\"]\n\
         #   integration:               # deployed, together with the other services\n\
         #     image: curlimages/curl:8\n\
         #     run: [\"curl -fsS http://{}:{port}/healthz\"]\n\n",
        found.service, found.service
    );
    text
}

fn image(has_dockerfile: bool) -> String {
    let missing = if has_dockerfile {
        ""
    } else {
        "# There is no Dockerfile yet: the image needs one.\n"
    };
    format!("{missing}# image: {{ dockerfile: Dockerfile, context: . }}   # the default\n\n")
}

fn deploy(found: &Found) -> String {
    let port = found.port.unwrap_or(USUAL_PORT);
    let origin = if found.port.is_some() {
        "as the Dockerfile says"
    } else {
        "where the service listens: check it"
    };
    format!(
        "deploy:\n  port: {port}   # {origin}\n  replicas: 2\n  \
         # ready: {{ http: /healthz }}   # when an instance takes traffic; without it: when the port accepts connections\n"
    )
}

/// A name that a service may have, as near to `folder` as possible.
pub(super) fn service_name(folder: &str) -> String {
    let mapped: String = folder
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let mut name = mapped
        .trim_start_matches(|c: char| !c.is_ascii_lowercase())
        .to_owned();
    name.truncate(63);
    match name.trim_end_matches('-') {
        "" => "my-service".to_owned(),
        name => name.to_owned(),
    }
}

/// The first port that a Dockerfile exposes, if it is a number.
pub(super) fn exposed_port(dockerfile: &str) -> Option<u16> {
    dockerfile.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let instruction = words.next()?;
        let port = words
            .next()
            .filter(|_| instruction.eq_ignore_ascii_case("EXPOSE"))?;
        port.split('/')
            .next()?
            .parse()
            .ok()
            .filter(|port| *port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::super::language;
    use super::*;

    fn check(text: &str) {
        let (spec, found) = domain::spec::lint("slipway.yaml", text);
        assert!(spec.is_some() && found.is_empty(), "{found}\n{text}");
    }

    #[test]
    fn what_is_written_for_each_language_has_no_mistakes() {
        for language in language::all() {
            let found = Found {
                service: "delivery".into(),
                language: Some(language),
                port: Some(9000),
                has_dockerfile: true,
            };
            check(&text(&found));
        }
        check(&text(&Found {
            service: "a".into(),
            language: None,
            port: None,
            has_dockerfile: false,
        }));
    }

    #[test]
    fn what_is_commented_out_is_right_too() {
        let language = language::all().next();
        let text = text(&Found {
            service: "delivery".into(),
            language,
            port: None,
            has_dockerfile: true,
        });
        let uncommented: String = text
            .lines()
            .skip_while(|line| !line.starts_with("service:"))
            .filter(|line| !line.starts_with("# The build"))
            .map(|line| {
                let bare = line.replacen("# ", "", 1);
                // Comments at the left edge hold a section or what belongs to one; `#   x` is `  x`.
                let kept = if line.trim_start().starts_with("# ") {
                    bare
                } else {
                    line.to_owned()
                };
                format!("{kept}\n")
            })
            .collect();
        check(&uncommented);
    }

    #[test]
    fn a_folder_gives_a_valid_name() {
        let cases = [
            ("Delivery", "delivery"),
            ("my_svc.v2", "my-svc-v2"),
            ("42-things-", "things"),
            ("__", "my-service"),
        ];
        for (folder, name) in cases {
            assert_eq!(service_name(folder), name);
        }
    }

    #[test]
    fn the_port_is_the_first_that_is_exposed() {
        assert_eq!(
            exposed_port("FROM x\nexpose 9090/tcp 1\nEXPOSE 1"),
            Some(9090)
        );
        assert_eq!(exposed_port("FROM x\nEXPOSE $PORT\n"), None);
    }
}
