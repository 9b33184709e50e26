//! The JSON Schemas of the two files, for editors.

use schemars::JsonSchema;

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
