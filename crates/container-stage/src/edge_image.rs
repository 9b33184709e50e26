//! The image with the edge in it: the proxy in front of deployed services, and the probe for readiness.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::labels::{self, Labels};
use engine::{BuildSpec, Context, Engine};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

/// Where the edge comes from.
#[derive(Debug, Clone, clap::Args)]
pub struct EdgeSource {
    /// An image with the edge in it. Absent: one is made of the binary.
    #[arg(long, env = "SLIPWAY_EDGE_IMAGE")]
    pub edge_image: Option<String>,
    /// The statically linked edge binary that an image is made of.
    #[arg(long, env = "SLIPWAY_EDGE_BINARY")]
    pub edge_binary: Option<PathBuf>,
}

/// An edge image that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum EdgeImageError {
    /// Neither an image nor a binary is named.
    #[error(
        "there is no edge image; name one with SLIPWAY_EDGE_IMAGE, or a static binary with SLIPWAY_EDGE_BINARY"
    )]
    Unnamed,
    /// The binary can't be read.
    #[error("the edge binary {path} can't be read")]
    Binary {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The engine can't get or make the image.
    #[error("the edge image can't be had")]
    Engine(#[from] engine::Error),
}

/// The edge image of one engine, made when it is first needed.
#[derive(Debug, Clone)]
pub struct EdgeImage {
    source: EdgeSource,
    name: Arc<OnceCell<String>>,
}

impl EdgeImage {
    /// An image from where `source` says.
    #[must_use]
    pub fn new(source: EdgeSource) -> Self {
        Self {
            source,
            name: Arc::default(),
        }
    }

    /// The image's name, once it is on the engine.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn on(&self, engine: &Engine) -> Result<String, EdgeImageError> {
        self.name
            .get_or_try_init(|| self.make(engine))
            .await
            .cloned()
    }

    async fn make(&self, engine: &Engine) -> Result<String, EdgeImageError> {
        if let Some(image) = &self.source.edge_image {
            engine.ensure_image(image, None).await?;
            return Ok(image.clone());
        }
        let path = self
            .source
            .edge_binary
            .as_ref()
            .ok_or(EdgeImageError::Unnamed)?;
        let binary = read(path).await?;
        let name = format!(
            "slipway-edge:{}",
            &hex::encode(Sha256::digest(&binary))[..12]
        );
        if !engine.has_image(&name).await? {
            build(engine, binary, &name).await?;
        }
        Ok(name)
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, EdgeImageError> {
    tokio::fs::read(path)
        .await
        .map_err(|source| EdgeImageError::Binary {
            path: path.display().to_string(),
            source,
        })
}

/// An image of nothing but the binary: it needs no shell, no library and no package.
async fn build(engine: &Engine, binary: Vec<u8>, name: &str) -> Result<(), EdgeImageError> {
    const DOCKERFILE: &str = "FROM scratch\n\
        COPY --chmod=0755 edge /edge\n\
        COPY state /state\n\
        HEALTHCHECK --interval=5s --timeout=3s --retries=3 CMD [\"/edge\", \"health\"]\n\
        ENTRYPOINT [\"/edge\"]\n\
        CMD [\"serve\"]\n";
    let files = BTreeMap::from([
        ("Dockerfile".to_owned(), DOCKERFILE.as_bytes().to_vec()),
        ("edge".to_owned(), binary),
        (
            "state/README".to_owned(),
            b"The table of the edge is uploaded here.\n".to_vec(),
        ),
    ]);
    let mut spec = BuildSpec::new(Context::Tar(engine::tar_files(&files)?));
    spec.tags = vec![name.to_owned()];
    spec.labels = Labels::from([(labels::ROLE.to_owned(), "edge-image".to_owned())]);
    let (sink, mut output) = mpsc::channel(16);
    let nobody = CancellationToken::new();
    let (built, ()) = tokio::join!(engine.build_image(spec, sink, &nobody), async {
        while output.recv().await.is_some() {}
    });
    built?;
    Ok(())
}
