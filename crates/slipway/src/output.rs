//! The JSON that scripts rely on.
//!
//! Field names never change and fields are only added. A time is RFC 3339 or null, a text that is not known is empty.

pub mod doctor;
pub mod environment;
pub mod lint;
pub mod log;
pub mod preview;
pub mod release;
pub mod rollout;
pub mod run;
pub mod time;
