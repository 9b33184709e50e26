//! Events as bytes: `encode` and `decode` for each aggregate.

use domain::ids::InvalidId;
use prost::Message as _;

mod release;
mod rollout;
mod run;
mod stage;
pub mod time;

use crate::wire::v1;

/// Bytes on the bus that are not the event they should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf.
    #[error("not a protobuf message of this kind")]
    Bytes(#[from] prost::DecodeError),
    /// A field that this version needs is absent, or a variant is one that it doesn't know.
    #[error("{0} is missing, or of a kind that this version of Slipway doesn't know")]
    Missing(&'static str),
    /// An identifier that is none.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A version that is none.
    #[error("{0:?} is not a version")]
    Version(String),
    /// Time out of range.
    #[error("a time out of range")]
    Time,
    /// Embedded JSON that doesn't fit its schema.
    #[error("{what} can't be read")]
    Json {
        /// Which field.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

/// An event that can stand on the bus.
pub trait WireEvent: Sized {
    /// Its bytes.
    fn encode(&self) -> Vec<u8>;
    /// The event that the bytes are.
    ///
    /// # Errors
    /// When they are none that this version knows.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

macro_rules! wire_event {
    ($domain:ty, $wire:ty, $to:path, $from:path) => {
        impl WireEvent for $domain {
            fn encode(&self) -> Vec<u8> {
                $to(self).encode_to_vec()
            }
            fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                $from(<$wire>::decode(bytes)?)
            }
        }
    };
}

wire_event!(
    domain::run::Event,
    v1::RunEvent,
    run::to_wire,
    run::from_wire
);
wire_event!(
    domain::release::Event,
    v1::ReleaseEvent,
    release::to_wire,
    release::from_wire
);
wire_event!(
    domain::rollout::Event,
    v1::RolloutEvent,
    rollout::to_wire,
    rollout::from_wire
);

fn version(text: &str) -> Result<semver::Version, DecodeError> {
    text.parse()
        .map_err(|_| DecodeError::Version(text.to_owned()))
}
