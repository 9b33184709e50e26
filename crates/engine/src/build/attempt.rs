//! One try to build an image.

use std::collections::HashMap;

use bollard::{
    BollardRequest, Docker,
    auth::DockerCredentials,
    body_try_stream,
    errors::Error as DockerError,
    models::{BuildInfo, BuildInfoAux},
    query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion},
};
use futures::{Stream, StreamExt};

use super::{
    BuildSpec, BuiltImage,
    context::PreparedContext,
    failure::{self, Failure},
    progress::Progress,
    session::{self, Session},
};
use crate::{Credentials, Engine, Error, OutputChunk, OutputSink, Result, output::emit};

/// How a build speaks to the engine.
enum Builder {
    /// BuildKit, with our own session.
    BuildKit(Session),
    /// BuildKit, with the client library's session: over TLS, where ours can't go. It offers no secrets.
    LibrarySession,
    /// The classic builder.
    Classic,
}

impl Engine {
    /// Builds once. The outer error is ours, the inner one is the build's.
    pub(super) async fn build_once(
        &self,
        spec: &BuildSpec,
        context: &PreparedContext,
        output: &OutputSink,
    ) -> Result<Result<BuiltImage, Failure>> {
        let builder = self.choose_builder(spec).await?;
        let (version, session_id) = match &builder {
            Builder::BuildKit(session) => {
                (BuilderVersion::BuilderV1, Some(session.id().to_owned()))
            }
            Builder::LibrarySession => (
                BuilderVersion::BuilderBuildKit,
                Some(uuid::Uuid::new_v4().to_string()),
            ),
            Builder::Classic => (BuilderVersion::BuilderV1, None),
        };
        let docker = match &builder {
            Builder::BuildKit(_) => self
                .docker()
                .clone()
                .with_request_modifier(ask_for_buildkit),
            Builder::LibrarySession | Builder::Classic => self.docker().clone(),
        };
        let options = options(spec, version, session_id);
        let updates = start(&docker, options, spec, context);
        let run = follow(updates, context, output);
        match builder {
            Builder::BuildKit(session) => tokio::select! {
                built = run => Ok(built),
                never = session.serve() => match never {},
            },
            Builder::LibrarySession | Builder::Classic => Ok(run.await),
        }
    }

    async fn choose_builder(&self, spec: &BuildSpec) -> Result<Builder> {
        let builder = match session::open(self.host(), &spec.secrets, &spec.credentials).await? {
            session::Opened::Session(session) => Builder::BuildKit(session),
            session::Opened::Refused => Builder::Classic,
            session::Opened::Unreachable => Builder::LibrarySession,
        };
        match builder {
            Builder::LibrarySession | Builder::Classic if !spec.secrets.is_empty() => {
                Err(Error::Invalid(format!(
                    "build secrets need an engine with BuildKit at a unix:// or tcp:// address; {} is none",
                    self.host()
                )))
            }
            builder => Ok(builder),
        }
    }
}

fn options(
    spec: &BuildSpec,
    version: BuilderVersion,
    session: Option<String>,
) -> BuildImageOptions {
    let args: HashMap<String, String> = spec.args.clone().into_iter().collect();
    let labels: HashMap<String, String> = spec.labels.clone().into_iter().collect();
    let mut options = BuildImageOptionsBuilder::default()
        .dockerfile(&spec.dockerfile)
        .target(spec.target.as_deref().unwrap_or_default())
        .buildargs(&args)
        .labels(&labels)
        .nocache(spec.no_cache)
        .rm(true)
        .forcerm(true)
        .version(version)
        .build();
    options.t = spec.tags.first().cloned();
    options.session = session;
    options
}

/// The client library insists on a session of its own for BuildKit. So it is asked for a classic build with our
/// session's id, and the version in the request is corrected here.
fn ask_for_buildkit(mut request: BollardRequest) -> BollardRequest {
    let uri = request.uri().to_string();
    let Some((path, query)) = uri.split_once('?') else {
        return request;
    };
    let query: Vec<&str> = query
        .split('&')
        .map(|pair| {
            if pair == "version=1" {
                "version=2"
            } else {
                pair
            }
        })
        .collect();
    if let Ok(corrected) = format!("{path}?{}", query.join("&")).parse() {
        *request.uri_mut() = corrected;
    }
    request
}

fn start<'a>(
    docker: &'a Docker,
    options: BuildImageOptions,
    spec: &BuildSpec,
    context: &PreparedContext,
) -> impl Stream<Item = Result<BuildInfo, DockerError>> + 'a {
    let credentials: HashMap<String, DockerCredentials> = spec
        .credentials
        .iter()
        .map(|(registry, credentials)| (registry.clone(), Credentials::to_docker(credentials)))
        .collect();
    docker.build_image(
        options,
        Some(credentials),
        Some(body_try_stream(context.archive())),
    )
}

/// Passes progress on until the build ends.
async fn follow(
    updates: impl Stream<Item = Result<BuildInfo, DockerError>>,
    context: &PreparedContext,
    output: &OutputSink,
) -> Result<BuiltImage, Failure> {
    let mut updates = std::pin::pin!(updates);
    let mut progress = Progress::default();
    let mut id = None;
    while let Some(update) = updates.next().await {
        let update = match update {
            Ok(update) => update,
            Err(error) => {
                for chunk in progress.finish() {
                    emit(output, chunk).await;
                }
                return Err(failure::explain(error, &progress, context.syntax()));
            }
        };
        match update.aux {
            Some(BuildInfoAux::BuildKit(status)) => {
                for chunk in progress.update(&status) {
                    emit(output, chunk).await;
                }
            }
            Some(BuildInfoAux::Default(image)) => id = image.id.or(id),
            None => {}
        }
        if let Some(text) = update.stream {
            progress.classic(&text);
            emit(output, OutputChunk::out(text)).await;
        }
    }
    for chunk in progress.finish() {
        emit(output, chunk).await;
    }
    match id {
        Some(id) => Ok(BuiltImage {
            id,
            cached_steps: progress.cached(),
            steps: progress.steps(),
        }),
        None => Err(Failure::Broken(
            "the engine ended the build without naming an image".to_owned(),
        )),
    }
}
