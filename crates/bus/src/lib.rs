//! Event store, job queue and logs on NATS JetStream; every subject in one file.
//!
//! A process opens one [`Bus`] and takes from it what it needs: [`EventStore`] (facts, the truth of everything),
//! [`JobQueue`] (work, derived from facts), [`LogStore`] (what stages print), [`Inbox`] (commits from outside),
//! [`Presence`] (who is at work) and [`Feed`] (for other tools). All of them work on bytes. The server itself can be a
//! child process: [`server::NatsServer`].
//!
//! What follows, takes or announces goes on by itself when the server is restarted. What asks fails with an [`Error`]
//! that says whether trying again can help.

pub use crate::config::BusConfig;
pub use crate::connection::Bus;
pub use crate::dead_letters::{DeadLetter, DeadLetters};
pub use crate::deliveries::{Deliveries, DeliveryOptions};
pub use crate::delivery::{Delivery, KeepAlive};
pub use crate::durability::Durability;
pub use crate::error::{AppendError, Cause, Error, ErrorClass, Result};
pub use crate::events::{EventStore, Followed, Follower, From, StoredEvent};
pub use crate::feed::Feed;
pub use crate::inbox::Inbox;
pub use crate::jobs::JobQueue;
pub use crate::logs::{LogItem, LogLine, LogReader, LogStore, LogStream, LogWriter};
pub use crate::presence::{Announcement, Presence, WorkerState};
pub use crate::subjects::{EventFilter, EventSubject, JobKind, SubjectError};

pub mod aggregates;
mod config;
mod connection;
mod dead_letters;
mod deliveries;
mod delivery;
mod durability;
mod error;
mod events;
mod feed;
mod inbox;
mod jobs;
mod logs;
mod presence;
mod replay;
pub mod server;
mod streams;
mod subjects;
