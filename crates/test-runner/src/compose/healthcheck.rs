//! A Compose service's health check as something to wait for.

use std::time::Duration;

use domain::spec::TimeSpan;
use serde::Deserialize;
use serde_json::Value;

use crate::readiness::{Check, DEFAULT_TIMEOUT, Sign, shell};

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Healthcheck {
    test: Value,
    disable: bool,
    interval: Option<String>,
    timeout: Option<String>,
    start_period: Option<String>,
    retries: Option<u32>,
}

/// What to wait for; `None` if the check is switched off or says nothing.
pub(super) fn check(healthcheck: &Healthcheck) -> Option<Check> {
    if healthcheck.disable {
        return None;
    }
    let argv = match &healthcheck.test {
        Value::String(line) => shell(line),
        Value::Array(words) => {
            let words: Vec<String> = words
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            match words.split_first()? {
                (kind, [line]) if kind == "CMD-SHELL" => shell(line),
                (kind, argv) if kind == "CMD" && !argv.is_empty() => argv.to_vec(),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Check {
        sign: Sign::Command(argv),
        timeout: patience(healthcheck).max(DEFAULT_TIMEOUT),
    })
}

/// How long Compose would wait until it calls the container unhealthy.
fn patience(healthcheck: &Healthcheck) -> Duration {
    let span = |text: &Option<String>, default| {
        text.as_deref()
            .and_then(|text| text.parse::<TimeSpan>().ok())
            .map_or(default, TimeSpan::get)
    };
    let half_a_minute = Duration::from_secs(30);
    let once =
        span(&healthcheck.interval, half_a_minute) + span(&healthcheck.timeout, half_a_minute);
    span(&healthcheck.start_period, Duration::ZERO)
        + once.saturating_mul(healthcheck.retries.unwrap_or(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(test: Value) -> Option<Sign> {
        check(&Healthcheck {
            test,
            ..Healthcheck::default()
        })
        .map(|check| check.sign)
    }

    #[test]
    fn both_forms_are_understood_and_none_is_none() {
        let command = |words: &[&str]| {
            Some(Sign::Command(
                words.iter().map(|w| (*w).to_owned()).collect(),
            ))
        };
        assert_eq!(
            sign("pg_isready -U app".into()),
            command(&["sh", "-c", "pg_isready -U app"])
        );
        assert_eq!(
            sign(serde_json::json!(["CMD-SHELL", "exit 0"])),
            command(&["sh", "-c", "exit 0"])
        );
        assert_eq!(sign(serde_json::json!(["CMD", "true"])), command(&["true"]));
        assert_eq!(sign(serde_json::json!(["NONE"])), None);
        assert_eq!(sign(Value::Null), None);
    }
}
