//! Times as scripts read them.

use jiff::Timestamp;

/// A time of the wire; `None` if it is absent or outside of what a calendar knows.
#[must_use]
pub fn instant(time: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    let time = time?;
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339(time: Option<&prost_types::Timestamp>) -> Option<String> {
    instant(time).map(|t| format!("{t:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_in_utc() {
        let time = prost_types::Timestamp {
            seconds: 1_767_225_600,
            nanos: 250_000_000,
        };
        assert_eq!(
            rfc3339(Some(&time)).as_deref(),
            Some("2026-01-01T00:00:00.250Z")
        );
        assert_eq!(rfc3339(None), None);
        assert_eq!(
            rfc3339(Some(&prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: 0
            })),
            None
        );
    }
}
