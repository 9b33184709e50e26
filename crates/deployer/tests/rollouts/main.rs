//! Rollouts by the real deployer program on a real engine, bus and registry.

mod bench;
mod crashes;
mod failures;
mod order;
mod restores;
mod runs;
mod updates;
