//! From a signal to an orderly end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a service may take to stop: finish or give back its jobs, drain its connections.
pub const DEADLINE: Duration = Duration::from_secs(25);

/// A token that SIGTERM or SIGINT cancels. A second signal ends the process at once.
#[must_use]
pub fn on_signals() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "lives as long as the process, and holds nothing"
    )]
    tokio::spawn(async move {
        next_signal().await;
        cancel.cancel();
        next_signal().await;
        std::process::exit(130);
    });
    token
}

async fn next_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Awaits `service`; once `stop` is cancelled, for no longer than [`DEADLINE`].
///
/// # Errors
/// What the service returns, or that it did not stop in time.
pub async fn within_deadline(
    service: impl Future<Output = anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(DEADLINE).await;
    };
    tokio::select! {
        ended = service => ended,
        () = late => anyhow::bail!("it did not stop within {} seconds", DEADLINE.as_secs()),
    }
}
