//! Stage `build`: the team's commands in the team's container; what they leave is the workspace image.

use container_stage::naming::{WORKSPACE, stage_labels, variables, workspace_image};
use container_stage::output::Output;
use container_stage::{checkout, limits, outcome, secrets};
use domain::spec::{Build, BuildContainer};
use domain::stage::{Artifact, Outcome, StageResult};
use engine::{BuildSpec, ContainerId, Context, StepSpec};
use worker::Work;

use crate::cache::caches;
use crate::images;
use crate::service::{Builder, SERVICE};

pub(crate) async fn on_build(builder: &Builder, work: &Work) -> Outcome {
    let Some(build) = &work.created().spec.build else {
        return outcome::red("the service file has no build section", &[]);
    };
    let output = Output::to(work.log.clone());
    let built = workspace(builder, work, build, &output).await;
    let last_lines = output.finish().await;
    match built {
        Ok(result) => Outcome::Succeeded(Box::new(result)),
        Err(Stopped::Engine(error)) => outcome::of_engine(&error, &last_lines),
        Err(Stopped::Source(error)) => outcome::of_source(&error),
        Err(Stopped::Red(reason)) => outcome::red(reason, &last_lines),
    }
}

/// Why a build stopped.
enum Stopped {
    Engine(engine::Error),
    Source(source::Error),
    Red(String),
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

async fn workspace(
    builder: &Builder,
    work: &Work,
    build: &Build,
    output: &Output,
) -> Result<StageResult, Stopped> {
    let change = &work.run.change;
    // A checkout or a pull that is dropped in the middle leaves nothing half done.
    let prepared = async {
        let commit = checkout::commit(&builder.source, change).await?;
        let image = container_image(builder, work, build, &commit, output).await?;
        Ok::<_, Stopped>((commit, image))
    };
    let stop = work.stop.token();
    let Some(prepared) = stop.run_until_cancelled(prepared).await else {
        return Err(Stopped::Red("it was told to stop".to_owned()));
    };
    let (commit, image) = prepared?;
    let caches = caches(&change.service, &build.cache);
    let mut lines = caches.restore;
    lines.extend(build.run.iter().cloned());
    lines.extend(caches.save);
    let mut step = StepSpec::shell(image, lines);
    step.name = Some(work.name());
    step.workdir = Some(WORKSPACE.to_owned());
    step.env = variables(work);
    step.env
        .extend(build.env.iter().map(|(k, v)| (k.clone(), v.clone())));
    step.limits = limits::of(&build.resources, Some(work.time_limit));
    step.mounts = caches.mounts;
    step.labels = stage_labels(work);
    step.files = Some(checkout::files(&builder.source, &commit, &change.path).await?);
    step.keep = true;
    let end = builder
        .engine
        .run_step(step, output.sink(), work.stop.token())
        .await?;
    let kept = Kept {
        builder,
        container: end.container,
    };
    let ended = match outcome::complaint(end.exit, work.time_limit) {
        Some(reason) => Err(Stopped::Red(reason)),
        None => kept.commit(work, output).await,
    };
    kept.remove().await;
    ended
}

/// The image to build in: the one that is named, or one made of the team's Dockerfile.
async fn container_image(
    builder: &Builder,
    work: &Work,
    build: &Build,
    commit: &source::Commit,
    output: &Output,
) -> Result<String, Stopped> {
    match &build.container {
        BuildContainer::Image(image) => {
            let credentials = secrets::credentials_for(&builder.platform, image, SERVICE)
                .map_err(|error| Stopped::Red(outcome::chain(&error)))?;
            builder
                .engine
                .ensure_image(image, credentials.as_ref())
                .await?;
            Ok(image.clone())
        }
        BuildContainer::Dockerfile(dockerfile) => {
            let change = &work.run.change;
            let name = images::build_environment(work);
            output
                .say(&format!("building the build environment from {dockerfile}"))
                .await;
            let files = checkout::files(&builder.source, commit, &change.path).await?;
            let mut spec = BuildSpec::new(Context::Stream(files));
            spec.dockerfile.clone_from(dockerfile);
            spec.tags = vec![name.clone()];
            spec.labels = images::labels_of(work, images::BUILD_ENVIRONMENT);
            spec.credentials = builder.all_credentials();
            spec.limit = Some(work.time_limit);
            builder
                .engine
                .build_image(spec, output.sink(), work.stop.token())
                .await?;
            Ok(name)
        }
    }
}

/// A build container that ended, and has to go in the end.
struct Kept<'a> {
    builder: &'a Builder,
    container: Option<ContainerId>,
}

impl Kept<'_> {
    async fn commit(&self, work: &Work, output: &Output) -> Result<StageResult, Stopped> {
        let Some(container) = &self.container else {
            return Err(Stopped::Red(
                "the build container is gone: somebody removed it".to_owned(),
            ));
        };
        let image = workspace_image(work);
        let labels = images::labels_of(work, images::WORKSPACE);
        self.builder
            .engine
            .commit(container, &image, &labels)
            .await?;
        let image = self.builder.share_workspace(work, image, output).await?;
        let engine = self.builder.engine.id().to_owned();
        let artifact = Some(Artifact::Workspace { image, engine });
        Ok(StageResult {
            artifact,
            summary: "workspace built".to_owned(),
            ..StageResult::default()
        })
    }

    async fn remove(self) {
        if let Some(container) = self.container
            && let Err(error) = self.builder.engine.remove(&container).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a build container is left to the clean-up"
            );
        }
    }
}
