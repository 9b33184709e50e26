//! The schemas for editors are those of the types. `UPDATE_SCHEMAS=1` writes them anew.

use std::path::Path;

fn compare(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../schemas")
        .join(name);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, generated).expect("the schema can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == generated,
        "schemas/{name} is out of date: run this test with UPDATE_SCHEMAS=1"
    );
}

#[test]
fn the_kept_schema_of_slipway_yaml_is_the_generated_one() {
    compare("slipway.schema.json", &domain::spec::json_schema());
}

#[test]
fn the_kept_schema_of_platform_yaml_is_the_generated_one() {
    compare(
        "platform.schema.json",
        &domain::spec::platform_json_schema(),
    );
}
