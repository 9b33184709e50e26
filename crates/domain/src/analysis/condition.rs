//! Conditions on a measured value: `result >= 0.99`, `result[0] < 5 && !(result[1] == 0)`.
//!
//! ```text
//! any        = all { "||" all }
//! all        = one { "&&" one }
//! one        = "!" one | "(" any ")" | comparison
//! comparison = operand ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) operand
//! operand    = "result" [ "[" digits "]" ] | number | "true" | "false"
//! ```
//! At least one side of each comparison is `result`, `true` is 1 and `false` is 0. What is right of a decided `&&` or
//! `||` is not looked at.

mod parse;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::spec::text_form;

/// A condition on a measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    expression: Expression,
}

/// Text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the condition is not understood at character {character}: {expected}")]
pub struct InvalidCondition {
    /// Where, in bytes from the beginning of the text.
    pub offset: usize,
    /// Where, in characters from 1.
    pub character: usize,
    /// What would be right.
    pub expected: String,
}

/// A value for which a condition has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The value has no number there, or what is there is not one.
    #[error("there is no data")]
    NoData,
    /// The value has fewer elements.
    #[error("`result[{index}]` is beyond the {length} values that were measured")]
    OutOfRange {
        /// What the condition asks for, from 0.
        index: usize,
        /// How many there are.
        length: usize,
    },
    /// The value has several elements, and the condition does not say which it means.
    #[error("{length} values were measured: write `result[0]` for the first of them")]
    Ambiguous {
        /// How many there are.
        length: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    Comparison(Operand, Operator, Operand),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operand {
    /// `result`, or `result[0]`.
    Result(Option<usize>),
    Number(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
    NotEqual,
}

impl Condition {
    /// Whether it holds for a value: one number, or several in their order.
    ///
    /// # Errors
    /// The value lacks what the condition asks for.
    pub fn holds(&self, value: &[f64]) -> Result<bool, Unanswered> {
        self.expression.holds(value)
    }
}

impl Expression {
    fn holds(&self, value: &[f64]) -> Result<bool, Unanswered> {
        match self {
            Self::Any(parts) => {
                for part in parts {
                    if part.holds(value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::All(parts) => {
                for part in parts {
                    if !part.holds(value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(inner) => inner.holds(value).map(|holds| !holds),
            Self::Comparison(left, operator, right) => {
                Ok(operator.holds(left.number(value)?, right.number(value)?))
            }
        }
    }
}

impl Operand {
    fn number(self, value: &[f64]) -> Result<f64, Unanswered> {
        let number = match self {
            Self::Number(number) => number,
            _ if value.is_empty() => return Err(Unanswered::NoData),
            Self::Result(None) if value.len() > 1 => {
                return Err(Unanswered::Ambiguous {
                    length: value.len(),
                });
            }
            Self::Result(index) => {
                let index = index.unwrap_or(0);
                *value.get(index).ok_or(Unanswered::OutOfRange {
                    index,
                    length: value.len(),
                })?
            }
        };
        if number.is_nan() {
            return Err(Unanswered::NoData);
        }
        Ok(number)
    }
}

impl Operator {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::More => left > right,
            Self::MoreOrEqual => left >= right,
            #[expect(
                clippy::float_cmp,
                reason = "the writer asks for equality, as of exit codes and counts"
            )]
            Self::Equal => left == right,
            #[expect(
                clippy::float_cmp,
                reason = "the writer asks for equality, as of exit codes and counts"
            )]
            Self::NotEqual => left != right,
        }
    }
}

impl FromStr for Condition {
    type Err = InvalidCondition;
    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        Ok(Self {
            expression: parse::expression(text)?,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

text_form!(
    Condition,
    json_schema!({
        "type": "string",
        "pattern": "result",
        "examples": ["result >= 0.99", "result[0] < 5 && result[0] > 0"],
        "description": "Comparisons of `result` (or `result[0]`) with numbers, joined with `&&`, `||`, `!` and brackets."
    })
);

#[cfg(test)]
mod tests;
