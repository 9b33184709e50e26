//! The stages of a registry-promoter with real registries and a real bus.

mod bench;
mod promote;
mod publish;
