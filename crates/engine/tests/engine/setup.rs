//! What the tests have in common.

use std::{future::Future, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use engine::{
    Engine, OutputChunk, OutputSink, OutputStream, StepEnd, StepSpec, labels, labels::Labels,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// An engine, and a label under which everything of this test is made.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) run: String,
}

impl Drop for Bench {
    /// A test that failed half-way leaves nothing either.
    fn drop(&mut self) {
        let filter = format!("label={}={}", labels::RUN, self.run);
        let listed = Command::new("docker")
            .args(["ps", "-aq", "--filter", &filter])
            .output();
        let Ok(listed) = listed else { return };
        for id in String::from_utf8_lossy(&listed.stdout).lines() {
            Command::new("docker").args(["rm", "-fv", id]).output().ok();
        }
    }
}

/// What was printed.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    pub(crate) largest_chunk: usize,
}

impl Output {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

impl Bench {
    pub(crate) async fn new() -> Result<Self> {
        testkit::docker::busybox_image()?;
        Ok(Self {
            engine: Engine::connect().await?,
            run: format!("test-{}", uuid::Uuid::new_v4().simple()),
        })
    }

    /// The label of everything that this test makes.
    pub(crate) fn labels(&self) -> Labels {
        labels::of([(labels::RUN, &self.run)])
    }

    /// A name that nobody else uses.
    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.run)
    }

    /// A step in the tiny image.
    pub(crate) fn step<const N: usize>(&self, lines: [&str; N]) -> StepSpec {
        StepSpec {
            labels: self.labels(),
            ..StepSpec::shell(testkit::docker::BUSYBOX, lines)
        }
    }

    pub(crate) async fn run(&self, spec: StepSpec) -> Result<(StepEnd, Output)> {
        let (sink, output) = capture();
        let cancel = CancellationToken::new();
        let (end, output) = tokio::join!(self.engine.run_step(spec, sink, &cancel), output);
        Ok((end?, output))
    }

    /// Fails if a container, network or volume of this test is left.
    pub(crate) async fn nothing_is_left(&self) -> Result<()> {
        self.engine.close().await;
        let removed = self.engine.remove_labelled(&self.labels()).await?;
        ensure!(
            removed == engine::Removed::default(),
            "left behind: {removed:?}"
        );
        Ok(())
    }

    pub(crate) async fn clean_up(&self) -> Result<()> {
        self.engine.remove_labelled(&self.labels()).await?;
        Ok(())
    }
}

/// A sink, and a future that collects all that is sent to it.
pub(crate) fn capture() -> (OutputSink, impl Future<Output = Output>) {
    let (sink, mut chunks) = mpsc::channel::<OutputChunk>(16);
    let collected = async move {
        let mut output = Output::default();
        while let Some(chunk) = chunks.recv().await {
            output.largest_chunk = output.largest_chunk.max(chunk.bytes.len());
            match chunk.stream {
                OutputStream::Out => output.out.extend_from_slice(&chunk.bytes),
                OutputStream::Err => output.err.extend_from_slice(&chunk.bytes),
            }
        }
        output
    };
    (sink, collected)
}

/// Asks again and again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Result<Option<T>>>>(
    what: &str,
    ask: impl Fn() -> F,
) -> Result<T> {
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .with_context(|| format!("never happened: {what}"))?
}
