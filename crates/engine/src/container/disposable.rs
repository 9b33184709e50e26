//! Containers that must not outlive their use.

use crate::{ContainerId, Engine};

/// A container that is removed when nobody wants it any more, also when the work that needs it is dropped half-way.
pub(crate) struct Disposable {
    engine: Engine,
    id: Option<ContainerId>,
}

impl Disposable {
    pub(crate) fn new(engine: &Engine, id: ContainerId) -> Self {
        Self {
            engine: engine.clone(),
            id: Some(id),
        }
    }

    /// Keeps the container: the caller removes it.
    pub(crate) fn keep(mut self) -> ContainerId {
        self.id
            .take()
            .expect("taken only here and in dispose, which consume it")
    }

    /// Removes the container now. A failure is logged, and left to the sweep that clears what crashes leave.
    pub(crate) async fn dispose(mut self) {
        if let Some(id) = self.id.take() {
            remove_or_log(&self.engine, &id).await;
        }
    }
}

impl Drop for Disposable {
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) {
            let engine = self.engine.clone();
            self.engine
                .tasks()
                .spawn_on(async move { remove_or_log(&engine, &id).await }, &runtime);
        }
    }
}

async fn remove_or_log(engine: &Engine, id: &ContainerId) {
    if let Err(error) = engine.remove(id).await {
        tracing::warn!(container.id = %id, error = %error, "could not remove a container; the sweep will");
    }
}
