//! The gateway as a whole: a real NATS server, real Git repositories, gRPC and HTTP over a socket.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected ends")]

mod answers;
mod commits;
mod crashes;
mod environments;
mod forge;
mod harness;
mod inbox;
mod logs;
mod parts;
mod previews;
mod reuse;
mod reviews;
mod rollouts;
mod versions;
mod webhooks;
