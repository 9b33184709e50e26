//! Where a rollout says what it does.

use container_stage::output::Output;

/// The log of a stage, or our own where there is none.
pub(crate) enum Voice<'a> {
    /// A stage's log.
    Stage(&'a Output),
    /// Nobody asked for what is being done.
    Own,
}

impl Voice<'_> {
    /// Says a line.
    pub(crate) async fn say(&self, line: &str) {
        match self {
            Self::Stage(output) => output.say(line).await,
            Self::Own => tracing::info!("{line}"),
        }
    }
}
