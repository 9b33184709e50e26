//! Rollouts by the real deployer program on a real engine, bus and registry.

mod aftermath;
mod analysis;
mod bench;
mod blue_green;
mod canary;
mod configuration;
mod crashes;
mod failures;
mod held;
mod newer;
mod order;
mod previews;
mod restores;
mod retries;
mod runs;
mod slow_ways_back;
mod testers;
mod updates;
mod verdicts;
