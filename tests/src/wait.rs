//! Waiting for conditions, with a deadline.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

const BETWEEN: Duration = Duration::from_millis(100);

/// Asks again and again until there is an answer.
///
/// # Errors
/// When there is none within `limit`; `what` says what was waited for.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let asked = ask().await;
        match asked {
            Ok(Some(answer)) => return Ok(answer),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("waited for: {what}")));
            }
            Ok(None) if Instant::now() > deadline => bail!("waited {limit:?} in vain for: {what}"),
            Ok(None) | Err(_) => tokio::time::sleep(BETWEEN).await,
        }
    }
}
