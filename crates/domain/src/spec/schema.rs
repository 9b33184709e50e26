//! The JSON Schemas of the two files, for editors.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::ServiceSpec;
use crate::platform::PlatformSpec;

/// The JSON Schema of `slipway.yaml`.
#[must_use]
pub fn json_schema() -> String {
    schema_of::<ServiceSpec>()
}

/// The JSON Schema of `platform.yaml`.
#[must_use]
pub fn platform_json_schema() -> String {
    schema_of::<PlatformSpec>()
}

fn schema_of<T: JsonSchema>() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(T))
        .expect("a schema has only text for keys");
    text.push('\n');
    text
}

/// The schema of names that become host names.
pub(crate) struct DnsLabel;

impl JsonSchema for DnsLabel {
    fn schema_name() -> Cow<'static, str> {
        "DnsLabel".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
            "description": "1 to 63 of a-z, 0-9 and '-', beginning with a letter, ending with a letter or digit."
        })
    }
}

/// The schema of port numbers.
pub(crate) struct Port;

impl JsonSchema for Port {
    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535, "description": "A TCP port." })
    }
}

/// The schema of a variable's value as it may be written.
pub(crate) struct Variable;

impl JsonSchema for Variable {
    fn schema_name() -> Cow<'static, str> {
        "Variable".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "null"], "description": "Text; a number stands for its digits." })
    }
}

/// The schema of one text or a list of them.
pub(crate) struct OneOrMany;

impl JsonSchema for OneOrMany {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}
