//! Rollouts by the real deployer program on a real Kubernetes cluster, bus and registry.

mod analysis;
mod bench;
mod blue_green;
mod canary;
mod cluster;
mod crashes;
mod failures;
mod hands;
mod manifests;
mod people;
mod plane;
mod previews;
mod rights;
mod routers;
mod runs;
mod updates;
mod without;
