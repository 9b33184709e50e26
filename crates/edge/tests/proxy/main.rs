//! The edge with real sockets: replicas in this process, the edge in this process or as its own.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod affinity;
mod bodies;
mod failing;
mod harness;
mod limits;
mod process;
mod replica;
mod switching;
mod tables;
mod tunnels;
