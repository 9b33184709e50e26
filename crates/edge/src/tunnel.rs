//! What follows `101 Switching Protocols`: bytes both ways until either side ends.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::backend::InFlight;

/// Carries bytes between the client and the backend, which counts as in use for as long.
pub(crate) async fn run(client: OnUpgrade, server: OnUpgrade, in_flight: InFlight) {
    let backend = in_flight.backend();
    let (client, server) = match tokio::try_join!(client, server) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(backend.name = %backend.spec.name, %error, "a tunnel did not come about");
            return;
        }
    };
    if let Err(error) =
        copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await
    {
        tracing::debug!(backend.name = %backend.spec.name, %error, "a tunnel broke off");
    }
}
