//! Where in a JSON document a number is: `$.data.ratio`, `$.checks[0]["error-rate"]`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::spec::{InvalidUnit, text_form};

/// A path from the root of a JSON document to one value: the names and places of RFC 9535, without its wildcards,
/// slices and filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Place(usize),
}

/// What is at the path is neither a number nor true or false, nor a list of those.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at `{path}` of the answer is {found} instead of a number")]
pub struct NotANumber {
    /// The path.
    pub path: String,
    /// What is there, in words.
    pub found: &'static str,
}

impl JsonPath {
    /// The numbers at the path: one, or all of a list. Where nothing is, there are none. True is 1, false is 0.
    ///
    /// # Errors
    /// Something else is there.
    pub fn numbers(&self, document: &Value) -> Result<Vec<f64>, NotANumber> {
        let mut value = document;
        for step in &self.steps {
            let next = match step {
                Step::Name(name) => value.get(name),
                Step::Place(place) => value.get(place),
            };
            let Some(next) = next else {
                return Ok(Vec::new());
            };
            value = next;
        }
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => list.iter().map(|one| self.number(one)).collect(),
            one => Ok(vec![self.number(one)?]),
        }
    }

    fn number(&self, value: &Value) -> Result<f64, NotANumber> {
        let found = match value {
            Value::Bool(truth) => return Ok(f64::from(u8::from(*truth))),
            Value::Number(number) => return Ok(number.as_f64().unwrap_or(f64::NAN)),
            Value::Null => return Ok(f64::NAN),
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Err(NotANumber {
            path: self.text.clone(),
            found,
        })
    }
}

impl FromStr for JsonPath {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        steps(text)
            .map(|steps| Self {
                text: text.to_owned(),
                steps,
            })
            .ok_or_else(|| InvalidUnit {
                kind: "a path in a JSON document",
                text: text.chars().take(80).collect(),
                form: "`$` and the names and places to go through, such as `$.data.ratio` or `$.checks[0]`",
            })
    }
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let length = name
                .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')))
                .unwrap_or(name.len());
            steps.push(Step::Name(
                name.get(..length).filter(|n| !n.is_empty())?.to_owned(),
            ));
            rest = &name[length..];
        } else {
            let inner = rest.strip_prefix('[')?;
            let (step, after) = match inner.chars().next()? {
                quote @ ('"' | '\'') => {
                    let (name, after) = inner[1..].split_once(quote)?;
                    (Step::Name(name.to_owned()), after.strip_prefix(']')?)
                }
                _ => {
                    let (place, after) = inner.split_once(']')?;
                    let digits = place.bytes().all(|b| b.is_ascii_digit());
                    (Step::Place(place.parse().ok().filter(|_| digits)?), after)
                }
            };
            steps.push(step);
            rest = after;
        }
    }
    Some(steps)
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

text_form!(
    JsonPath,
    json_schema!({
        "type": "string",
        "pattern": r"^\$",
        "description": "Where in a JSON document a number is: `$.data.ratio`, `$.checks[0][\"error-rate\"]`."
    })
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_found_by_name_and_place() {
        let document =
            json!({ "ok": true, "a": { "b-c": [0.5, 2], "d.e": 3 }, "none": null, "text": "1" });
        for (path, expected) in [
            ("$.ok", vec![1.0]),
            ("$.a.b-c", vec![0.5, 2.0]),
            ("$.a['b-c'][1]", vec![2.0]),
            ("$[\"a\"][\"d.e\"]", vec![3.0]),
            ("$.none", vec![]),
            ("$.a.nowhere[3]", vec![]),
        ] {
            let found = path.parse::<JsonPath>().expect(path).numbers(&document);
            assert_eq!(found, Ok(expected), "{path}");
        }
        let error = "$.text".parse::<JsonPath>().unwrap().numbers(&document);
        assert_eq!(
            error.unwrap_err().to_string(),
            "at `$.text` of the answer is text instead of a number"
        );
        assert!(
            "$.a"
                .parse::<JsonPath>()
                .unwrap()
                .numbers(&document)
                .is_err()
        );
        assert_eq!(
            "$".parse::<JsonPath>().unwrap().numbers(&json!(7)),
            Ok(vec![7.0])
        );
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in [
            "", "ok", "$.", "$..a", "$.a[", "$.a[x]", "$.a[+1]", "$[]", "$['a]", "$.a b", "$.*",
            "$a",
        ] {
            assert!(bad.parse::<JsonPath>().is_err(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn anything_like_a_path_is_read_or_refused(text in "\\$?(\\.|a|é|\\[|\\]|'|\"|0|-){0,12}") {
            if let Ok(path) = text.parse::<JsonPath>() {
                prop_assert_eq!(path.to_string(), text);
                let _ = path.numbers(&json!({ "a": [0, { "a": 1 }] }));
            }
        }
    }
}
