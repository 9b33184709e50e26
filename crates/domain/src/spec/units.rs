//! Quantities with their units, as people write them: `30s`, `0.1%`, `512Mi`, `0.5`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text that is not the quantity it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {kind}: write {form}")]
pub struct InvalidUnit {
    /// What it should have been, with its article: `a duration`.
    pub kind: &'static str,
    /// The text, shortened to at most 80 characters.
    pub text: String,
    /// What would be right.
    pub form: &'static str,
}

/// A length of time, to the millisecond: `250ms`, `30s`, `2m`, `1h30m`, `7d`. At most ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(Duration);

/// A share from `0%` to `100%`, exact to four decimals: `5%`, `0.1%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    parts_per_million: u32,
}

/// An amount of memory: `512Mi`, `2Gi`, `64M`, or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Memory {
    bytes: u64,
}

/// Processor time: `2`, `0.5`, or `500m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus {
    thousandths: u32,
}

const TEN_YEARS_MS: u64 = 3650 * 86_400_000;

impl TimeSpan {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// As the standard library counts it.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self {
        parts_per_million: 0,
    };

    /// Everything.
    pub const ALL: Self = Self {
        parts_per_million: 1_000_000,
    };

    /// A whole number of percent; more than 100 counts as 100.
    #[must_use]
    pub const fn of(percent: u32) -> Self {
        let percent = if percent > 100 { 100 } else { percent };
        Self {
            parts_per_million: percent * 10_000,
        }
    }

    /// So many millionths; more than 1,000,000 count as everything.
    #[must_use]
    pub const fn from_parts_per_million(parts: u32) -> Self {
        let parts_per_million = if parts > 1_000_000 { 1_000_000 } else { parts };
        Self { parts_per_million }
    }

    /// From 0 to 1,000,000.
    #[must_use]
    pub const fn parts_per_million(self) -> u32 {
        self.parts_per_million
    }

    /// From 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.parts_per_million) / 1e6
    }
}

impl Memory {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

impl Cpus {
    /// So many thousandths of a processor.
    #[must_use]
    pub const fn from_thousandths(thousandths: u32) -> Self {
        Self { thousandths }
    }

    /// Thousandths of a processor.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.thousandths
    }
}

impl FromStr for TimeSpan {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let bad = || {
            invalid(
                "a duration",
                text,
                "a number and a unit (ms, s, m, h, d), such as `30s`, `2m` or `1h30m`",
            )
        };
        let mut rest = text;
        let mut total = 0_u64;
        let mut smallest = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            let unit_len = tail.len()
                - tail
                    .trim_start_matches(|c: char| c.is_ascii_lowercase())
                    .len();
            let (unit, tail) = tail.split_at(unit_len);
            let unit = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(bad()),
            };
            if unit >= smallest {
                return Err(bad());
            }
            smallest = unit;
            let part = number
                .parse::<u64>()
                .ok()
                .and_then(|n| n.checked_mul(unit))
                .ok_or_else(bad)?;
            total = total
                .checked_add(part)
                .filter(|t| *t <= TEN_YEARS_MS)
                .ok_or_else(bad)?;
            rest = tail;
        }
        if smallest == u64::MAX {
            Err(bad())
        } else {
            Ok(Self::from_millis(total))
        }
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, name) in [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1000, "s"),
            (1, "ms"),
        ] {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl FromStr for Percent {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        text.strip_suffix('%')
            .and_then(|number| decimal(number.trim_end(), 4))
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n <= 1_000_000)
            .map(|parts_per_million| Self { parts_per_million })
            .ok_or_else(|| {
                invalid(
                    "a percentage",
                    text,
                    "a number from 0 to 100 and `%`, such as `5%` or `0.1%`",
                )
            })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, u64::from(self.parts_per_million), 4)?;
        f.write_str("%")
    }
}

const MEMORY_UNITS: [(&str, u64); 9] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1000),
    ("", 1),
];

impl FromStr for Memory {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        MEMORY_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, size)| decimal(digits, 0)?.checked_mul(*size))
            .map(Self::from_bytes)
            .ok_or_else(|| {
                invalid(
                    "an amount of memory",
                    text,
                    "a whole number and a unit, such as `512Mi` or `2Gi`",
                )
            })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = MEMORY_UNITS[..4]
            .iter()
            .find(|(_, size)| self.bytes > 0 && self.bytes.is_multiple_of(*size));
        let (name, size) = binary.unwrap_or(&("", 1));
        write!(f, "{}{name}", self.bytes / size)
    }
}

impl FromStr for Cpus {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let thousandths = match text.strip_suffix('m') {
            Some(number) => decimal(number, 0),
            None => decimal(text, 3),
        };
        thousandths
            .and_then(|n| u32::try_from(n).ok())
            .map(Self::from_thousandths)
            .ok_or_else(|| {
                invalid(
                    "a number of processors",
                    text,
                    "a number such as `2`, `0.5` or `500m`",
                )
            })
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, u64::from(self.thousandths), 3)
    }
}

fn invalid(kind: &'static str, text: &str, form: &'static str) -> InvalidUnit {
    InvalidUnit {
        kind,
        text: text.chars().take(80).collect(),
        form,
    }
}

/// `12.5` with two places is 1250. No sign, no exponent, no more places than asked for.
fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, fraction) = text
        .split_once('.')
        .map_or((text, None), |(w, f)| (w, Some(f)));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || fraction.is_some_and(|f| !digits(f) || f.len() > places as usize) {
        return None;
    }
    let fraction = fraction.unwrap_or("");
    let scale = 10_u64.pow(places - u32::try_from(fraction.len()).ok()?);
    let fraction = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<u64>().ok()? * scale
    };
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(10_u64.pow(places))?
        .checked_add(fraction)
}

fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, places: u32) -> fmt::Result {
    let scale = 10_u64.pow(places);
    write!(f, "{}", value / scale)?;
    if !value.is_multiple_of(scale) {
        let fraction = format!("{:0width$}", value % scale, width = places as usize);
        write!(f, ".{}", fraction.trim_end_matches('0'))?;
    }
    Ok(())
}

/// Serde and JSON Schema for a type whose form is its text.
macro_rules! text_form {
    ($name:ident, $schema:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}
pub(crate) use text_form;

text_form!(
    TimeSpan,
    json_schema!({
        "type": "string",
        "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$",
        "minLength": 2,
        "description": "A length of time: `250ms`, `30s`, `2m`, `1h30m`, `7d`."
    })
);
text_form!(
    Percent,
    json_schema!({
        "type": "string",
        "pattern": r"^(100(\.0{1,4})?|\d{1,2}(\.\d{1,4})?) *%$",
        "description": "A share from `0%` to `100%`: `5%`, `0.1%`."
    })
);
text_form!(
    Memory,
    json_schema!({
        "type": ["string", "integer"],
        "pattern": r"^\d+(Ki|Mi|Gi|Ti|k|M|G|T)?$",
        "minimum": 0,
        "description": "An amount of memory: `512Mi`, `2Gi`, or bytes."
    })
);
text_form!(
    Cpus,
    json_schema!({
        "type": ["string", "number"],
        "pattern": r"^(\d+(\.\d{1,3})?|\d+m)$",
        "minimum": 0,
        "description": "Processor time: `2`, `0.5` or `500m`."
    })
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("250ms", 250),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            let parsed: TimeSpan = text.parse().expect(text);
            assert_eq!(parsed, TimeSpan::from_millis(milliseconds));
            assert_eq!(parsed.to_string(), text);
        }
        for bad in [
            "",
            "30",
            "s",
            "1x",
            "-1s",
            "1.5h",
            "30 s",
            "1s1m",
            "1s1s",
            "99999999999999999999s",
            "4000d",
        ] {
            assert!(bad.parse::<TimeSpan>().is_err(), "{bad}");
        }
    }

    #[test]
    fn percentages_are_exact() {
        for (text, parts) in [
            ("0%", 0),
            ("0.1%", 1000),
            ("5%", 50_000),
            ("33.3333%", 333_333),
            ("100%", 1_000_000),
        ] {
            let parsed: Percent = text.parse().expect(text);
            assert_eq!(parsed.parts_per_million(), parts);
            assert_eq!(parsed.to_string(), text);
        }
        for bad in ["5", "%", "101%", "-1%", "0.00001%", "1e1%", ".5%", "5.%"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
    }

    #[test]
    fn memory_has_binary_and_decimal_units() {
        for (text, bytes, shown) in [
            ("512Mi", 512 << 20, "512Mi"),
            ("1024Mi", 1 << 30, "1Gi"),
            ("64M", 64_000_000, "62500Ki"),
            ("1000", 1000, "1000"),
            ("0", 0, "0"),
        ] {
            let parsed: Memory = text.parse().expect(text);
            assert_eq!(parsed.bytes(), bytes);
            assert_eq!(parsed.to_string(), shown);
        }
        for bad in ["", "Mi", "1.5Gi", "512mb", "512 Mi", "99999999999Ti"] {
            assert!(bad.parse::<Memory>().is_err(), "{bad}");
        }
    }

    #[test]
    fn processors_count_in_thousandths() {
        for (text, thousandths, shown) in [
            ("2", 2000, "2"),
            ("0.5", 500, "0.5"),
            ("1500m", 1500, "1.5"),
        ] {
            let parsed: Cpus = text.parse().expect(text);
            assert_eq!(parsed.thousandths(), thousandths);
            assert_eq!(parsed.to_string(), shown);
        }
        for bad in ["", "m", "-1", "0.0001", "two", "0.5m"] {
            assert!(bad.parse::<Cpus>().is_err(), "{bad}");
        }
    }
}
