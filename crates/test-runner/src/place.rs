//! Where the commands of tests run: in the workspace image, or in an image with the commit's files in it.

use domain::run::Run;
use domain::stage::{Artifact, StageName};

use crate::attempt::Attempt;
use crate::ended::Stopped;

/// Where the commands of tests run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The image that the build left; the files are in it.
    Workspace {
        /// Its name.
        image: String,
        /// The engine that has it.
        engine: String,
    },
    /// Any image; the commit's files are put into it.
    Image(String),
}

impl Place {
    /// The image that the tests name, or else the workspace of the run's build.
    pub(crate) fn of(run: &Run, named: Option<&str>) -> Option<Self> {
        named
            .map(|image| Self::Image(image.to_owned()))
            .or_else(|| workspace(run))
    }

    /// The image's name.
    pub(crate) fn image(&self) -> &str {
        match self {
            Self::Workspace { image, .. } | Self::Image(image) => image,
        }
    }

    /// Whether the commit's files have to be put in.
    pub(crate) fn needs_files(&self) -> bool {
        matches!(self, Self::Image(_))
    }

    /// Sees to it that the image is on our engine.
    pub(crate) async fn fetch(&self, attempt: &Attempt<'_>) -> Result<(), Stopped> {
        if let Self::Workspace { image, engine } = self
            && image.starts_with("slipway-workspace/")
            && !attempt.engine().has_image(image).await?
        {
            return Err(Stopped::Broken(missing(
                image,
                engine,
                attempt.engine().id(),
            )));
        }
        attempt.fetch_image(self.image()).await
    }
}

/// The image under test: what the run built.
pub(crate) fn image_under_test(run: &Run) -> Option<String> {
    match run.stage(&StageName::Image)?.artifact()? {
        Artifact::Image {
            repository, digest, ..
        } => Some(format!("{repository}@{digest}")),
        _ => None,
    }
}

fn workspace(run: &Run) -> Option<Place> {
    match run.stage(&StageName::Build)?.artifact()? {
        Artifact::Workspace { image, engine } => Some(Place::Workspace {
            image: image.clone(),
            engine: engine.clone(),
        }),
        _ => None,
    }
}

fn missing(image: &str, engine: &str, ours: &str) -> String {
    if engine == ours {
        format!(
            "the workspace image {image} was removed from the container engine; start the run again to build it"
        )
    } else {
        format!(
            "the workspace image {image} is on the container engine {engine} only, and this test-runner uses {ours}; \
             name this test-runner in the builder's SLIPWAY_TEST_RUNNER_URLS, so that workspaces are pushed for it"
        )
    }
}
