//! The client against a real registry, and against one that misbehaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod content;
mod copying;
mod faults;
mod login;
mod pings;
mod proxy;
mod reading;
mod referrers;
mod releases;
