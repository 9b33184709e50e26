//! Stage `functional-test`: the image runs with what it depends on, gets ready, and the team's tests pass against it.

use std::collections::BTreeMap;

use container_stage::limits;
use container_stage::naming::variables;
use domain::spec::{Dependencies, FunctionalTest, Resources};
use domain::stage::StageResult;
use futures::future::join_all;

use crate::attempt::Attempt;
use crate::compose;
use crate::dependency::{Dependency, declared, groups};
use crate::ended::Stopped;
use crate::place::{Place, image_under_test};
use crate::readiness::{Sign, entrance};
use crate::stack::{Member, Stack, Started};
use crate::suite::{self, Suite, env_of};

/// Files of the repository that one dependency may be given.
const MAX_FILE_BYTES: usize = 16 << 20;

pub(crate) async fn on_functional_test(attempt: &Attempt<'_>) -> Result<StageResult, Stopped> {
    let created = attempt.work.created();
    let Some(tests) = &created.spec.test.functional else {
        return Err(Stopped::red(
            "the service file has no section `test.functional`",
        ));
    };
    let Some(image) = image_under_test(&attempt.work.run) else {
        return Err(Stopped::red("the run has built no image to test"));
    };
    let groups = dependencies(attempt, tests).await?;
    let stack = Stack::new(attempt).await?;
    for group in groups {
        bring_up(attempt, &stack, group).await?;
    }
    let service = start_service(attempt, &stack, tests, &image).await?;
    if tests.run.is_empty() {
        return Ok(StageResult {
            summary: format!("{} gets ready", service.name),
            ..StageResult::default()
        });
    }
    let place = Place::of(&attempt.work.run, tests.image.as_deref()).unwrap_or(Place::Image(image));
    let suite = Suite {
        place,
        run: &tests.run,
        reports: &tests.reports,
        env: env_of(&tests.env),
        network: Some(stack.network().to_owned()),
        resources: Resources::default(),
    };
    match suite::run(attempt, suite).await {
        Err(Stopped::Red(mut failure)) => {
            if let Some(code) = stack.exit_code(&service).await {
                failure.reason = format!(
                    "{}; {} had ended with exit code {code}",
                    failure.reason, service.name
                );
            }
            stack.show(&service).await;
            Err(Stopped::Red(failure))
        }
        other => other,
    }
}

/// What the service depends on, in the order in which to start it.
async fn dependencies(
    attempt: &Attempt<'_>,
    tests: &FunctionalTest,
) -> Result<Vec<Vec<Dependency>>, Stopped> {
    let (all, at) = match &tests.dependencies {
        None => return Ok(Vec::new()),
        Some(Dependencies::Services(services)) => {
            (declared(services), "test.functional.services".to_owned())
        }
        Some(Dependencies::Compose(path)) => {
            let wrong = |why: String| Stopped::red(format!("{path}: {why}"));
            let Some(content) = file(attempt, path).await? else {
                return Err(wrong(
                    "there is no such file in the commit; correct `test.functional.compose`"
                        .to_owned(),
                ));
            };
            let text =
                String::from_utf8(content).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
            (
                compose::parse(&text, &variables(attempt.work)).map_err(wrong)?,
                path.clone(),
            )
        }
    };
    let service = attempt.work.run.change.service.as_str();
    if all.iter().any(|dependency| dependency.name == service) {
        return Err(Stopped::red(format!(
            "{at}: {service} is the service under test, which Slipway starts itself; leave it out"
        )));
    }
    groups(all).map_err(|why| Stopped::red(format!("{at}: {why}")))
}

/// Starts a group side by side and waits until all of it is ready.
async fn bring_up(
    attempt: &Attempt<'_>,
    stack: &Stack<'_>,
    group: Vec<Dependency>,
) -> Result<(), Stopped> {
    let mut started = Vec::new();
    for dependency in group {
        attempt.fetch_image(&dependency.image).await?;
        let mut check = dependency.check.clone();
        if let Sign::Http {
            port: unsaid @ None,
            ..
        } = &mut check.sign
        {
            *unsaid = attempt
                .engine()
                .inspect_image(&dependency.image)
                .await?
                .exposed_ports
                .into_iter()
                .min();
        }
        attempt
            .say(&format!(
                "starting {} ({})",
                dependency.name, dependency.image
            ))
            .await;
        let files = files_of(attempt, &dependency).await?;
        let member = Member {
            name: dependency.name,
            aliases: dependency.aliases,
            image: dependency.image,
            env: dependency.env,
            entrypoint: dependency.entrypoint,
            command: dependency.command,
            user: dependency.user,
            files,
            limits: limits::of(&Resources::default(), None),
        };
        started.push((stack.start(member).await?, check));
    }
    let waits = started
        .iter()
        .map(|(started, check)| stack.ready(started, check));
    let mut failed: Vec<Stopped> = join_all(waits)
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    // The others were told to stop because of the first.
    let first = failed
        .iter()
        .position(|stopped| !matches!(stopped, Stopped::Asked));
    match first.or_else(|| failed.len().checked_sub(1)) {
        Some(index) => Err(failed.swap_remove(index)),
        None => Ok(()),
    }
}

/// Starts the image under test and waits until it is ready.
async fn start_service(
    attempt: &Attempt<'_>,
    stack: &Stack<'_>,
    tests: &FunctionalTest,
    image: &str,
) -> Result<Started, Stopped> {
    attempt.fetch_image(image).await?;
    let created = attempt.work.created();
    let deploy = created.spec.deploy.as_ref();
    let exposed = attempt.engine().inspect_image(image).await?.exposed_ports;
    let entrance = entrance(tests, deploy, &exposed);
    // What a deployed replica is given, too.
    let mut env = variables(attempt.work);
    env.retain(|name, _| matches!(name.as_str(), "SLIPWAY_SERVICE" | "SLIPWAY_VERSION"));
    env.insert("PORT".to_owned(), entrance.port.to_string());
    env.extend(env_of(&tests.env));
    let name = attempt.work.run.change.service.to_string();
    attempt
        .say(&format!("starting {name}, the image under test"))
        .await;
    let resources = deploy.map(|deploy| deploy.resources).unwrap_or_default();
    let member = Member {
        name,
        image: image.to_owned(),
        env,
        limits: limits::of(&resources, None),
        ..Member::default()
    };
    let started = stack.start(member).await?;
    stack.ready(&started, &entrance.check).await?;
    Ok(started)
}

/// A file of the service's folder.
async fn file(attempt: &Attempt<'_>, path: &str) -> Result<Option<Vec<u8>>, Stopped> {
    let commit = attempt.commit().await?;
    let path = in_folder(&attempt.work.run.change.path, path);
    let read = attempt
        .unless_stopped(attempt.runner.source.read_file(&commit, &path))
        .await?;
    Ok(read.map(|content| content.to_vec()))
}

/// The files of the repository that a dependency mounts, by their path in its container.
async fn files_of(
    attempt: &Attempt<'_>,
    dependency: &Dependency,
) -> Result<BTreeMap<String, Vec<u8>>, Stopped> {
    let mut files = BTreeMap::new();
    if dependency.files.is_empty() {
        return Ok(files);
    }
    let commit = attempt.commit().await?;
    let source = &attempt.runner.source;
    let mut bytes = 0;
    for (from, to) in &dependency.files {
        let from = in_folder(&attempt.work.run.change.path, from);
        let paths = attempt
            .unless_stopped(source.list_files(&commit, &from))
            .await?;
        if paths.is_empty() {
            return Err(Stopped::red(format!(
                "{} mounts {from}, which is not in the commit",
                dependency.name
            )));
        }
        for path in paths {
            let Some(content) = attempt
                .unless_stopped(source.read_file(&commit, &path))
                .await?
            else {
                continue;
            };
            bytes += content.len();
            if bytes > MAX_FILE_BYTES {
                return Err(Stopped::red(format!(
                    "{} mounts more than {} MiB of the repository; build an image with these files in it",
                    dependency.name,
                    MAX_FILE_BYTES >> 20
                )));
            }
            let below = path.strip_prefix(&from).unwrap_or_default();
            files.insert(
                format!("{}{below}", to.trim_end_matches('/')),
                content.to_vec(),
            );
        }
    }
    Ok(files)
}

/// A path of the service's folder as a path of the repository.
fn in_folder(folder: &str, path: &str) -> String {
    let path = path.trim_start_matches("./");
    if folder.is_empty() {
        path.to_owned()
    } else {
        format!("{}/{path}", folder.trim_end_matches('/'))
    }
}
