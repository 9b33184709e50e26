//! Times and durations between `jiff`, `std` and protobuf.

use std::time::Duration;

use jiff::Timestamp;

use super::DecodeError;

/// A time for the wire.
#[must_use]
pub fn to_wire(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// A time from the wire.
///
/// # Errors
/// When it is absent or out of range.
pub fn from_wire(at: Option<prost_types::Timestamp>) -> Result<Timestamp, DecodeError> {
    let at = at.ok_or(DecodeError::Missing("a time"))?;
    Timestamp::new(at.seconds, at.nanos).map_err(|_| DecodeError::Time)
}

/// A length of time for the wire; beyond 292 billion years it is cut.
#[must_use]
pub fn duration_to_wire(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// A length of time from the wire; absent or negative is none.
#[must_use]
pub fn duration_from_wire(duration: Option<prost_types::Duration>) -> Option<Duration> {
    let duration = duration?;
    Some(Duration::new(
        u64::try_from(duration.seconds).ok()?,
        u32::try_from(duration.nanos).ok()?,
    ))
}
