//! Lengths of time as people say them.

use jiff::Timestamp;
use proto::gateway::v1::{Run, Stage};

use crate::output::time::instant;

/// `3.2s`, `42s`, `4m 05s`, `1h 02m`; nothing is negative.
#[must_use]
pub fn text(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long a stage took, or has taken until `now`; empty before it began.
#[must_use]
pub fn of_stage(stage: &Stage, now: Timestamp) -> String {
    between(stage.started_at.as_ref(), stage.finished_at.as_ref(), now)
}

/// How long a run took, or has taken until `now`.
#[must_use]
pub fn of_run(run: &Run, now: Timestamp) -> String {
    between(run.created_at.as_ref(), run.finished_at.as_ref(), now)
}

/// How long ago something was: `just now`, `4m ago`, `3d ago`.
#[must_use]
pub fn ago(time: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    let Some(time) = instant(time) else {
        return String::new();
    };
    let seconds = (now.as_second() - time.as_second()).max(0);
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// The time of day in UTC, `12:00:17`; with the date, `03-01 12:00:17`, if it is of another day.
#[must_use]
pub fn clock(time: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    let Some(time) = instant(time) else {
        return String::new();
    };
    let day = |time: Timestamp| time.as_second().div_euclid(86_400);
    if day(time) == day(now) {
        time.strftime("%H:%M:%S").to_string()
    } else {
        time.strftime("%m-%d %H:%M:%S").to_string()
    }
}

/// Whole seconds: `42s`, `4m 05s`.
#[must_use]
pub fn whole(seconds: i64) -> String {
    match seconds {
        ..10 => format!("{}s", seconds.max(0)),
        _ => text(seconds.saturating_mul(1000)),
    }
}

/// How long something took, or has taken until `now`; empty if it has not begun.
#[must_use]
pub fn between(
    start: Option<&prost_types::Timestamp>,
    end: Option<&prost_types::Timestamp>,
    now: Timestamp,
) -> String {
    let Some(start) = instant(start) else {
        return String::new();
    };
    match instant(end) {
        Some(end) => text(end.as_millisecond() - start.as_millisecond()),
        // What is still going on is shown in whole seconds: tenths would only flicker.
        None => {
            let elapsed = (now.as_millisecond() - start.as_millisecond()).max(0);
            if elapsed < 10_000 {
                format!("{}s", elapsed / 1000)
            } else {
                text(elapsed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        let cases = [
            (-5, "0.0s"),
            (3_240, "3.2s"),
            (59_999, "59s"),
            (245_000, "4m 05s"),
            (3_720_000, "1h 02m"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(text(milliseconds), expected);
        }
    }

    #[test]
    fn what_goes_on_counts_from_its_start_even_if_clocks_differ() {
        let start = Some(prost_types::Timestamp {
            seconds: 100,
            nanos: 0,
        });
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(between(start.as_ref(), None, at(104)), "4s");
        assert_eq!(between(start.as_ref(), None, at(90)), "0s");
        assert_eq!(between(None, None, at(90)), "");
        assert_eq!((whole(7), whole(-1)), ("7s".to_owned(), "0s".to_owned()));
    }

    #[test]
    fn the_time_of_another_day_has_its_date() {
        let time = Some(prost_types::Timestamp {
            seconds: 1_772_366_417,
            nanos: 0,
        });
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(clock(time.as_ref(), at(1_772_366_500)), "12:00:17");
        assert_eq!(clock(time.as_ref(), at(1_772_466_500)), "03-01 12:00:17");
    }
}
