//! What an analysis is about, for the places in queries that name it: `{{service}}`.

use crate::ids::{EnvironmentName, ServiceName};

/// The names between `{{` and `}}` that are filled in.
pub const PLACEHOLDERS: [&str; 5] = ["service", "environment", "version", "stable", "address"];

/// What an analysis is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The service.
    pub service: ServiceName,
    /// Where it is rolled out.
    pub environment: EnvironmentName,
    /// The version that comes in.
    pub version: String,
    /// The version that runs beside it; empty where there is none.
    pub stable: String,
    /// Where the version that comes in answers, `host:port`; empty where it takes no traffic.
    pub address: String,
}

/// A place in a text that nothing is known for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is nothing to fill in for `{{{{{name}}}}}`")]
pub struct UnknownPlaceholder {
    /// What is between the braces.
    pub name: String,
    /// Where it begins, in bytes.
    pub offset: usize,
}

impl Subject {
    /// The text with each `{{name}}` filled in. What is not known stays as it is: [`check_placeholders`] has refused it
    /// when the file was read.
    #[must_use]
    pub fn fill_in(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(found) = next(rest) {
            filled.push_str(&rest[..found.start]);
            match self.value(found.name) {
                Some(value) => filled.push_str(value),
                None => filled.push_str(&rest[found.start..found.end]),
            }
            rest = &rest[found.end..];
        }
        filled + rest
    }

    /// By the name of the variable in a container's environment: `SLIPWAY_SERVICE`.
    pub fn variables(&self) -> impl Iterator<Item = (String, &str)> {
        PLACEHOLDERS.into_iter().filter_map(|name| {
            Some((
                format!("SLIPWAY_{}", name.to_ascii_uppercase()),
                self.value(name)?,
            ))
        })
    }

    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "service" => Some(self.service.as_str()),
            "environment" => Some(self.environment.as_str()),
            "version" => Some(&self.version),
            "stable" => Some(&self.stable),
            "address" => Some(&self.address),
            _ => None,
        }
    }
}

/// Sees that every `{{name}}` in a text is one that is filled in.
///
/// # Errors
/// The first that is not.
pub fn check_placeholders(text: &str) -> Result<(), UnknownPlaceholder> {
    let mut at = 0;
    while let Some(found) = next(&text[at..]) {
        if !PLACEHOLDERS.contains(&found.name) {
            return Err(UnknownPlaceholder {
                name: found.name.to_owned(),
                offset: at + found.start,
            });
        }
        at += found.end;
    }
    Ok(())
}

struct Found<'t> {
    name: &'t str,
    start: usize,
    end: usize,
}

fn next(text: &str) -> Option<Found<'_>> {
    let start = text.find("{{")?;
    let length = text[start + 2..].find("}}")?;
    Some(Found {
        name: text[start + 2..start + 2 + length].trim(),
        start,
        end: start + length + 4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            service: "delivery".parse().expect("a name"),
            environment: "production".parse().expect("a name"),
            version: "1.2.0".to_owned(),
            stable: "1.1.9".to_owned(),
            address: "10.0.0.7:8080".to_owned(),
        }
    }

    #[test]
    fn names_in_braces_are_filled_in_and_nothing_else() {
        let text = r#"rate(x{service="{{service}}",version="{{ version }}"}[1m]) / {{stable}} {{nothing}} {{"#;
        assert_eq!(
            subject().fill_in(text),
            r#"rate(x{service="delivery",version="1.2.0"}[1m]) / 1.1.9 {{nothing}} {{"#
        );
    }

    #[test]
    fn a_name_that_is_not_known_is_pointed_at() {
        assert_eq!(check_placeholders("{{service}} {{version}} {{ é"), Ok(()));
        let error = check_placeholders("{{service}} é {{ vresion }}").expect_err("unknown");
        assert_eq!((error.name.as_str(), error.offset), ("vresion", 15));
        assert_eq!(
            error.to_string(),
            "there is nothing to fill in for `{{vresion}}`"
        );
    }

    #[test]
    fn every_placeholder_has_a_value_and_a_variable() {
        let subject = subject();
        let variables: Vec<_> = subject.variables().collect();
        assert_eq!(variables.len(), PLACEHOLDERS.len());
        assert!(variables.contains(&("SLIPWAY_STABLE".to_owned(), "1.1.9")));
    }
}
