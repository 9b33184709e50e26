//! Stage `image`: the service's container image, pushed under the run's own tag.

use std::collections::BTreeMap;

use container_stage::naming::WORKSPACE;
use container_stage::output::Output;
use container_stage::{checkout, outcome, secrets};
use domain::run::Created;
use domain::stage::{Artifact, Outcome, StageName, StageResult};
use engine::{BuildSpec, ByteStream, Context, Secret};
use worker::Work;

use crate::service::{Builder, SERVICE};

pub(crate) async fn on_image(builder: &Builder, work: &Work) -> Outcome {
    let output = Output::to(work.log.clone());
    let stop = work.stop.token();
    let built = stop
        .run_until_cancelled(image(builder, work, &output))
        .await;
    let built = built.unwrap_or_else(|| Err(Stopped::Red("it was told to stop".to_owned())));
    let last_lines = output.finish().await;
    match built {
        Ok(result) => Outcome::Succeeded(Box::new(result)),
        Err(Stopped::Engine(error)) => outcome::of_engine(&error, &last_lines),
        Err(Stopped::Source(error)) => outcome::of_source(&error),
        Err(Stopped::Red(reason)) => outcome::red(reason, &last_lines),
        Err(Stopped::Broken(reason)) => outcome::broken(reason),
    }
}

enum Stopped {
    Engine(engine::Error),
    Source(source::Error),
    Red(String),
    Broken(String),
}

impl From<engine::Error> for Stopped {
    fn from(error: engine::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<source::Error> for Stopped {
    fn from(error: source::Error) -> Self {
        Self::Source(error)
    }
}

async fn image(builder: &Builder, work: &Work, output: &Output) -> Result<StageResult, Stopped> {
    let created = work.created();
    let (spec, change) = (&created.spec.image, &created.change);
    let commit = checkout::commit(&builder.source, change).await?;
    let paths = Paths::of(&spec.context, &spec.dockerfile)
        .ok_or_else(|| Stopped::Red(outside(&spec.context, &spec.dockerfile)))?;
    let context = context(builder, work, &commit, &paths.context).await?;
    let tag = run_tag(work.run.id.as_str());
    let repository = &created.plan.development_repository;
    let reference = format!("{repository}:{tag}");
    let mut build = BuildSpec::new(Context::Stream(context));
    build.dockerfile = paths.dockerfile;
    build.target.clone_from(&spec.target);
    build.args = spec
        .args
        .iter()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    build.labels = labels(created, &commit);
    build.tags = vec![reference.clone()];
    build.secrets = build_secrets(created)?;
    build.limit = Some(work.time_limit);
    build.credentials = builder.all_credentials();
    let built = builder
        .engine
        .build_image(build, output.sink(), work.stop.token())
        .await?;
    output.say(&format!("pushing {reference}")).await;
    let digest = builder
        .engine
        .push(&reference, builder.credentials(), Some(&output.sink()))
        .await?;
    let digest = digest
        .parse()
        .map_err(|error| Stopped::Broken(format!("the registry gave a strange digest: {error}")))?;
    Ok(StageResult {
        summary: format!(
            "{} of {} steps from the cache",
            built.cached_steps, built.steps
        ),
        artifact: Some(Artifact::Image {
            repository: repository.clone(),
            tag,
            digest,
            engine: builder.engine.id().to_owned(),
        }),
        tests: None,
    })
}

/// The run's own tag of its image.
fn run_tag(run: &str) -> String {
    format!("run-{run}")
}

/// The build context: a folder of the workspace image if the run has one, of the commit otherwise.
async fn context(
    builder: &Builder,
    work: &Work,
    commit: &source::Commit,
    folder: &str,
) -> Result<ByteStream, Stopped> {
    let workspace = work
        .run
        .stage(&StageName::Build)
        .and_then(|stage| match stage.artifact() {
            Some(Artifact::Workspace { image, .. }) => Some(image.clone()),
            _ => None,
        });
    match workspace {
        Some(image) => {
            builder
                .engine
                .ensure_image(&image, builder.credentials())
                .await?;
            let path = if folder.is_empty() {
                WORKSPACE.to_owned()
            } else {
                format!("{WORKSPACE}/{folder}")
            };
            Ok(builder.engine.image_tar(&image, &path).await?)
        }
        None => {
            let service = &work.run.change.path;
            let path = [service.as_str(), folder]
                .into_iter()
                .filter(|p| !p.is_empty())
                .collect::<Vec<_>>()
                .join("/");
            Ok(checkout::files(&builder.source, commit, &path).await?)
        }
    }
}

fn build_secrets(created: &Created) -> Result<BTreeMap<String, Secret>, Stopped> {
    let read = |(name, reference): (&String, &domain::spec::SecretReference)| {
        secrets::read(reference, SERVICE).map(|secret| (name.clone(), secret))
    };
    let all: Result<_, _> = created.spec.image.secrets.iter().map(read).collect();
    all.map_err(|error| {
        Stopped::Red(format!(
            "an image secret can't be had: {}",
            outcome::chain(&error)
        ))
    })
}

/// The labels of the OCI image specification; `created` is the commit's time, so that a build can be repeated.
fn labels(created: &Created, commit: &source::Commit) -> BTreeMap<String, String> {
    let change = &created.change;
    let mut labels = BTreeMap::from([
        (
            "org.opencontainers.image.title".to_owned(),
            change.service.to_string(),
        ),
        (
            "org.opencontainers.image.source".to_owned(),
            change.repository.clone(),
        ),
        (
            "org.opencontainers.image.revision".to_owned(),
            change.commit.clone(),
        ),
        (
            "org.opencontainers.image.created".to_owned(),
            commit.time.to_string(),
        ),
    ]);
    if let Some(planned) = &created.version {
        labels.insert(
            "org.opencontainers.image.version".to_owned(),
            planned.version.to_string(),
        );
    }
    if let Some(team) = &created.spec.team {
        labels.insert("org.opencontainers.image.vendor".to_owned(), team.clone());
    }
    labels
}

/// The context relative to the service's folder, and the Dockerfile relative to the context.
#[derive(Debug, PartialEq, Eq)]
struct Paths {
    context: String,
    dockerfile: String,
}

impl Paths {
    /// `None` if the Dockerfile is not inside the context.
    fn of(context: &str, dockerfile: &str) -> Option<Self> {
        let plain = |path: &str| {
            path.split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .collect::<Vec<_>>()
                .join("/")
        };
        let (context, dockerfile) = (plain(context), plain(dockerfile));
        if context.is_empty() {
            return Some(Self {
                context,
                dockerfile,
            });
        }
        let inside = dockerfile
            .strip_prefix(&context)?
            .strip_prefix('/')?
            .to_owned();
        Some(Self {
            context,
            dockerfile: inside,
        })
    }
}

fn outside(context: &str, dockerfile: &str) -> String {
    format!(
        "the Dockerfile {dockerfile} is outside the build context {context}; put it inside, or widen `image.context` \
         in slipway.yaml"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_is_found_from_the_context() {
        let paths =
            |context, dockerfile| Paths::of(context, dockerfile).map(|p| (p.context, p.dockerfile));
        let some = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(paths(".", "Dockerfile"), some("", "Dockerfile"));
        assert_eq!(
            paths("./app/", "app/ci/Dockerfile"),
            some("app", "ci/Dockerfile")
        );
        assert_eq!(paths("app", "Dockerfile"), None);
        assert_eq!(paths("app", "application/Dockerfile"), None);
    }
}
