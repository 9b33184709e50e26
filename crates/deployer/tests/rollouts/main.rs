//! Rollouts by the real deployer program on a real engine, bus and registry.

mod analysis;
mod bench;
mod blue_green;
mod canary;
mod crashes;
mod failures;
mod held;
mod order;
mod restores;
mod runs;
mod testers;
mod updates;
