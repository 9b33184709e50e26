//! Dependencies declared in a Compose file: the part of it that makes sense around a service under test.
//!
//! Read as <https://compose-spec.io> says: images, environment, commands, order, health checks, files of the
//! repository as bind mounts. Ports are needless, networks and named volumes too. What would change the meaning if it
//! were left out (`build`, `env_file`, `extends`, …) is refused.

mod file;
mod healthcheck;
mod variables;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::dependency::Dependency;
use crate::readiness::{Check, Sign};
use file::{File, Service};

/// Reads a Compose file. `lookup` are the variables that `${NAME}` may stand for.
///
/// # Errors
/// A sentence about what is wrong with it or not supported.
pub(crate) fn parse(
    text: &str,
    lookup: &BTreeMap<String, String>,
) -> Result<Vec<Dependency>, String> {
    let read: Value =
        serde_saphyr::from_str(text).map_err(|error| format!("it is not YAML: {error}"))?;
    let read = variables::substitute(read, lookup)?;
    let file: File = serde_json::from_value(read).map_err(|error| error.to_string())?;
    if file.include.is_some() {
        return Err("`include` is not supported here; put all services into one file".to_owned());
    }
    if file.services.is_empty() {
        return Err("it has no services".to_owned());
    }
    let wanted: Vec<(String, Service)> = file
        .services
        .into_iter()
        .filter(|(_, service)| service.profiles.is_empty())
        .collect();
    let preparations: BTreeSet<String> = wanted
        .iter()
        .flat_map(|(_, service)| service.depends_on.awaited_to_end())
        .collect();
    let dependency = |(name, service): (String, Service)| {
        let completes = preparations.contains(&name);
        dependency(&name, service, completes).map_err(|why| format!("service {name}: {why}"))
    };
    wanted.into_iter().map(dependency).collect()
}

fn dependency(name: &str, service: Service, completes: bool) -> Result<Dependency, String> {
    if service.build.is_some() {
        return Err("`build` is not supported here, only `image`: Slipway builds and starts the service under test \
            itself, so leave that one out; name published images for what it depends on"
            .to_owned());
    }
    for (key, given) in [
        ("env_file", &service.env_file),
        ("extends", &service.extends),
    ] {
        if given.is_some() {
            return Err(format!(
                "`{key}` is not supported here; write the values into the service"
            ));
        }
    }
    for (key, given) in [("configs", &service.configs), ("secrets", &service.secrets)] {
        if given.is_some() {
            return Err(format!(
                "`{key}` are not supported here; mount a file of the repository with `volumes`"
            ));
        }
    }
    let image = service
        .image
        .clone()
        .filter(|image| !image.is_empty())
        .ok_or("it has no `image`")?;
    let files = service
        .volumes
        .iter()
        .filter_map(file::bind)
        .collect::<Result<_, _>>()?;
    let healthcheck = service.healthcheck.as_ref().and_then(healthcheck::check);
    let check = match (completes, healthcheck) {
        (true, _) => Check::for_(Sign::Completed),
        (false, Some(check)) => check,
        (false, None) => Check::for_(Sign::Running),
    };
    Ok(Dependency {
        name: name.to_owned(),
        aliases: service.aliases(),
        image,
        env: service.environment.into_map(),
        entrypoint: service
            .entrypoint
            .map(file::Command::into_words)
            .transpose()?,
        command: service.command.map(file::Command::into_words).transpose()?,
        user: service.user.map(|user| user.0),
        files,
        after: service.depends_on.names(),
        check,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parsed(text: &str) -> Result<Vec<Dependency>, String> {
        parse(
            text,
            &BTreeMap::from([("SLIPWAY_SERVICE".to_owned(), "delivery".to_owned())]),
        )
    }

    #[test]
    fn a_usual_file_is_understood() {
        let file = r#"
version: "3.9"
x-common: &common { user: 999 }
services:
  redis:
    <<: *common
    image: redis:${REDIS_VERSION:-7}
    command: redis-server --save "" --port 6379
    ports: ["6379:6379"]
    restart: always
    networks: { back: { aliases: [cache] } }
    healthcheck: { test: [CMD, redis-cli, ping], interval: 1s, retries: 3, start_period: 2m }
  seed:
    image: redis:7
    depends_on: [redis]
    entrypoint: [sh, -c]
    command: ["redis-cli -h redis set a 1"]
    environment: [A=1, "B=x=y", C]
    volumes: ["./db/seed.sql:/seed.sql:ro", "data:/data", "/data2"]
  api:
    image: example/api
    environment: { PORT: 80, DEBUG: true, NOTHING: , NAME: "${SLIPWAY_SERVICE}-api" }
    depends_on: { seed: { condition: service_completed_successfully } }
  admin: { image: adminer, profiles: [debug] }
volumes: { data: {} }
networks: { back: }
"#;
        let all = parsed(file).unwrap();
        assert_eq!(
            all.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(),
            ["api", "redis", "seed"]
        );
        let [api, redis, seed] = &all[..] else {
            panic!("{all:?}")
        };
        assert_eq!(redis.image, "redis:7");
        assert_eq!(redis.user.as_deref(), Some("999"));
        assert_eq!(redis.aliases, ["cache"]);
        assert_eq!(
            redis.command.as_deref().unwrap(),
            ["redis-server", "--save", "", "--port", "6379"]
        );
        assert_eq!(
            redis.check.sign,
            Sign::Command(vec!["redis-cli".to_owned(), "ping".to_owned()])
        );
        assert!(redis.check.timeout >= Duration::from_secs(120));
        assert_eq!(seed.check.sign, Sign::Completed);
        assert_eq!(seed.after, ["redis"]);
        assert_eq!(
            seed.files,
            [("db/seed.sql".to_owned(), "/seed.sql".to_owned())]
        );
        assert_eq!(
            seed.env,
            BTreeMap::from([("A", "1"), ("B", "x=y")].map(|(k, v)| (k.to_owned(), v.to_owned())))
        );
        assert_eq!(api.env["PORT"], "80");
        assert_eq!(api.env["DEBUG"], "true");
        assert_eq!(api.env["NAME"], "delivery-api");
        assert_eq!(api.after, ["seed"]);
        assert_eq!(api.check.sign, Sign::Running);
    }

    #[test]
    fn what_can_not_be_done_is_refused_by_name() {
        let refused = |text: &str, why: &str| {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(
            "services: { app: { build: . } }",
            "service app: `build` is not supported here",
        );
        refused(
            "services: { app: { image: a, env_file: .env } }",
            "`env_file`",
        );
        refused("services: { app: { } }", "no `image`");
        refused("services: {}", "no services");
        refused(
            "services: { app: { image: 'a:${V:?say which}' } }",
            "say which",
        );
        refused(
            "services: { app: { image: a, volumes: ['/var/run/docker.sock:/s'] } }",
            "docker.sock",
        );
        refused(
            "services: { app: { image: a, volumes: ['../up:/s'] } }",
            "../up",
        );
        refused("services: [", "not YAML");
        refused("include: [other.yaml]", "`include`");
        refused(
            "services: { app: { image: a, command: 'echo \"open' } }",
            "quot",
        );
    }
}
