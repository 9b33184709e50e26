//! How each stream keeps what it is given.

use std::time::Duration;

use async_nats::jetstream::stream::{
    Compression, Config, DiscardPolicy, RetentionPolicy, StorageType,
};

use crate::config::BusConfig;
use crate::subjects;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TWO_MINUTES: Duration = Duration::from_secs(120);

/// One of Slipway's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    Events,
    Jobs,
    Dead,
    Logs,
    Inbox,
    Feed,
}

impl StreamKind {
    /// In the order in which they are made: the logs, which reserve the most storage, come last.
    pub(crate) const ALL: [Self; 6] = [
        Self::Events,
        Self::Jobs,
        Self::Dead,
        Self::Inbox,
        Self::Feed,
        Self::Logs,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Events => subjects::EVENTS,
            Self::Jobs => subjects::JOBS,
            Self::Dead => subjects::DEAD,
            Self::Logs => subjects::LOGS,
            Self::Inbox => subjects::INBOX,
            Self::Feed => subjects::FEED,
        }
    }

    const fn subjects(self) -> &'static [&'static str] {
        match self {
            Self::Events => &subjects::EVENT_SUBJECTS,
            Self::Jobs => &subjects::JOB_SUBJECTS,
            Self::Dead => &subjects::DEAD_SUBJECTS,
            Self::Logs => &subjects::LOG_SUBJECTS,
            Self::Inbox => &subjects::INBOX_SUBJECTS,
            Self::Feed => &subjects::FEED_SUBJECTS,
        }
    }

    /// The stream's configuration.
    pub(crate) fn config(self, bus: &BusConfig) -> Config {
        let kept_for = |max_age: Duration| Config {
            name: self.name().to_owned(),
            subjects: self
                .subjects()
                .iter()
                .map(|&subject| subject.to_owned())
                .collect(),
            storage: StorageType::File,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            max_age,
            duplicate_window: TWO_MINUTES,
            allow_direct: true,
            num_replicas: bus.replicas,
            ..Config::default()
        };
        match self {
            Self::Events => Config {
                deny_delete: true,
                ..kept_for(bus.event_retention)
            },
            Self::Jobs => Config {
                storage: StorageType::Memory,
                retention: RetentionPolicy::WorkQueue,
                discard: DiscardPolicy::New,
                max_messages: 1_000_000,
                ..kept_for(Duration::ZERO)
            },
            Self::Dead => kept_for(7 * DAY),
            Self::Logs => Config {
                max_bytes: i64::try_from(bus.log_max_bytes).unwrap_or(i64::MAX),
                compression: Some(Compression::S2),
                ..kept_for(bus.log_retention)
            },
            // Forges deliver the same webhook again up to hours later.
            Self::Inbox => Config {
                duplicate_window: 24 * HOUR,
                max_messages: 1_000_000,
                ..kept_for(7 * DAY)
            },
            Self::Feed => Config {
                max_messages: 1_000_000,
                ..kept_for(7 * DAY)
            },
        }
    }
}
