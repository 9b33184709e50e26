//! Building images: with BuildKit, or with the classic builder where the engine has no BuildKit.

mod attempt;
mod context;
mod dockerfile;
mod failure;
mod ignore;
mod progress;
mod session;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{
    ByteStream, Credentials, Engine, Error, OutputChunk, OutputSink, Result, Secret,
    labels::Labels, output::emit,
};
use context::PreparedContext;
use failure::Failure;

/// What to build an image from, and how.
pub struct BuildSpec {
    /// The build context.
    pub context: Context,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// The stage to build; `None` is the last.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: Labels,
    /// The image's names.
    pub tags: Vec<String>,
    /// Build every step anew.
    pub no_cache: bool,
    /// Secrets for `RUN --mount=type=secret,id=NAME`: they reach neither the image nor its history.
    pub secrets: BTreeMap<String, Secret>,
    /// Credentials by registry (`host:port`), for base images.
    pub credentials: BTreeMap<String, Credentials>,
    /// How long it may take.
    pub limit: Option<Duration>,
}

/// A build context: an uncompressed tar archive whose paths are relative to the context's root. Its `.dockerignore`
/// (or `<Dockerfile>.dockerignore`) is honoured here.
pub enum Context {
    /// An archive in memory.
    Tar(Bytes),
    /// An archive that comes in pieces; it is kept in a temporary file during the build.
    Stream(ByteStream),
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// Its id on the engine.
    pub id: String,
    /// How many of the Dockerfile's steps came from the cache.
    pub cached_steps: usize,
    /// How many steps there were.
    pub steps: usize,
}

impl BuildSpec {
    /// A build of the `Dockerfile` at the root of a context, with everything else at its default.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            dockerfile: "Dockerfile".to_owned(),
            target: None,
            args: BTreeMap::new(),
            labels: Labels::new(),
            tags: Vec::new(),
            no_cache: false,
            secrets: BTreeMap::new(),
            credentials: BTreeMap::new(),
            limit: None,
        }
    }
}

impl Engine {
    /// Builds an image. Progress and the output of the steps go to the sink, readable by people.
    ///
    /// What is wrong with the Dockerfile or with what it runs is [`Error::BuildFailed`], or [`Error::ImageNotFound`]
    /// for a base image that doesn't exist; everything else is ours. A `# syntax=` line whose frontend can't be
    /// pulled is left out, with a note in the output.
    pub async fn build_image(
        &self,
        mut spec: BuildSpec,
        output: OutputSink,
        cancel: &CancellationToken,
    ) -> Result<BuiltImage> {
        let limit = spec.limit;
        let what = || "the image build".to_owned();
        let build = async {
            let context = std::mem::replace(&mut spec.context, Context::Tar(Bytes::new()));
            let context = context::prepare(context, &spec.dockerfile).await?;
            self.build_prepared(&spec, context, &output).await
        };
        let build = Box::pin(build);
        tokio::select! {
            built = build => built,
            () = cancel.cancelled() => Err(Error::Cancelled { what: what() }),
            limit = deadline(limit) => Err(Error::TimedOut { what: what(), limit }),
        }
    }

    async fn build_prepared(
        &self,
        spec: &BuildSpec,
        mut context: PreparedContext,
        output: &OutputSink,
    ) -> Result<BuiltImage> {
        let built = match self.build_once(spec, &context, output).await? {
            Err(Failure::Frontend { frontend, message }) => {
                let note = format!(
                    "note: the frontend {frontend} of the line `# syntax=` can't be pulled ({message}); building with the engine's own frontend\n"
                );
                emit(output, OutputChunk::err(note)).await;
                context.drop_syntax_line();
                self.build_once(spec, &context, output)
                    .await?
                    .map_err(|failure| failure.with_hint(&frontend))
            }
            other => other,
        };
        let built = built.map_err(Failure::into_error)?;
        for tag in spec.tags.iter().skip(1) {
            self.tag(&built.id, tag).await?;
        }
        Ok(built)
    }
}

async fn deadline(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}
