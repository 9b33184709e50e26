//! The engine's driver against a real Docker engine. Every test works under labels of its own and removes what it made.

mod archives;
mod builds;
mod hosts;
mod images;
mod networks;
mod proxied;
mod services;
mod setup;
mod steps;
