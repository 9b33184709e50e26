//! Numbers, and values with a text form of their own.

use std::fmt::Display;
use std::str::FromStr;

use super::{Fields, Reader};
use crate::document::{Node, Value};

impl Reader<'_> {
    /// A value with a text form, such as a duration: in quotes or not.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
    ) -> Option<T> {
        let what = fields.path(key);
        self.parsed_at(fields.get(key)?, &what)
    }

    /// A value with a text form.
    pub(crate) fn parsed_at<T: FromStr<Err: Display>>(
        &mut self,
        node: &Node,
        what: &str,
    ) -> Option<T> {
        let Value::Scalar { text, .. } = &node.value else {
            self.error(
                node.span.clone(),
                format!("`{what}` must be one value, but this is {}", node.kind()),
            );
            return None;
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                // "what is wrong: what would be right"
                let error = error.to_string();
                let (message, help) = error.rsplit_once(": ").unwrap_or((&error, ""));
                let diagnostic = self.error(node.span.clone(), format!("`{what}`: {message}"));
                diagnostic.help = (!help.is_empty()).then(|| help.to_owned());
                None
            }
        }
    }

    /// A whole number in a range.
    pub(crate) fn number(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        least: u32,
        most: u32,
    ) -> Option<u32> {
        let node = fields.get(key)?;
        let what = fields.path(key);
        let Value::Scalar { text, plain } = &node.value else {
            self.error(
                node.span.clone(),
                format!("`{what}` must be a number, but this is {}", node.kind()),
            );
            return None;
        };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(number) if *plain && (least..=most).contains(&number) => Some(number),
            Ok(_) if !*plain => {
                let message = format!("`{what}` must be a number, but this is text");
                self.error_help(
                    node.span.clone(),
                    message,
                    format!("write it without quotes: {text}"),
                );
                None
            }
            _ if digits
                || text
                    .strip_prefix('-')
                    .is_some_and(|t| t.parse::<u64>().is_ok()) =>
            {
                let message = format!("`{what}` is out of range");
                self.error_help(
                    node.span.clone(),
                    message,
                    format!("write a number from {least} to {most}"),
                );
                None
            }
            _ => {
                let message = format!(
                    "`{what}` must be a whole number, but this is {}",
                    node.kind()
                );
                self.error_help(
                    node.span.clone(),
                    message,
                    format!("write a number from {least} to {most}"),
                );
                None
            }
        }
    }

    /// A TCP port.
    pub(crate) fn port(&mut self, fields: &Fields<'_>, key: &str) -> Option<u16> {
        self.number(fields, key, 1, 65_535)
            .and_then(|n| u16::try_from(n).ok())
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        let node = fields.get(key)?;
        match &node.value {
            Value::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "false") => {
                Some(text == "true")
            }
            _ => {
                let message = format!(
                    "`{}` must be true or false, but this is {}",
                    fields.path(key),
                    node.kind()
                );
                self.error_help(
                    node.span.clone(),
                    message,
                    "write `true` or `false`, without quotes",
                );
                None
            }
        }
    }
}
