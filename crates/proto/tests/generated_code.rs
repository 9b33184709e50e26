//! The committed code is what the `.proto` files say.

use std::fs;
use std::path::Path;

#[path = "../build_support/generate.rs"]
mod generate;

#[test]
fn generated_code_is_what_the_proto_files_say() {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = crate_directory.join("src/gen");
    let fresh = tempfile::tempdir().expect("a temporary directory");
    let names = generate::generate(&crate_directory.join("../../proto"), fresh.path())
        .expect("the .proto files compile");

    let mut committed_names: Vec<_> = fs::read_dir(&committed)
        .expect("src/gen exists")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    committed_names.sort();
    assert_eq!(committed_names, names, "run `cargo xtask codegen`");
    for name in names {
        let same = fs::read(committed.join(&name)).expect("readable")
            == fs::read(fresh.path().join(&name)).expect("readable");
        assert!(
            same,
            "{name} differs from what the .proto files say: run `cargo xtask codegen`"
        );
    }
}
