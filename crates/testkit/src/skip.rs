//! What a test does where the machine lacks what it needs.

use std::{fs::File, io::Write as _};

/// Set to `1`: nothing may be left out.
const REQUIRE: &str = "SLIPWAY_TEST_REQUIRE";
/// A file to which each test that is left out adds a line; `cargo xtask test` reads it.
const SKIPS: &str = "SLIPWAY_TEST_SKIPS";

/// Says that the caller's test is left out for want of something, such as `no image redis:7`; the test should then end.
///
/// # Panics
/// With `SLIPWAY_TEST_REQUIRE=1`.
pub fn skip(want: &str) {
    let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
    assert!(!required, "{want}, and {REQUIRE}=1 asks for it");
    leave_out(want);
}

/// The same for what nobody sets up for tests: it is left out whatever is required.
pub fn leave_out(want: &str) {
    eprintln!("SKIPPED: {want}");
    if let Some(file) = std::env::var_os(SKIPS)
        && let Err(error) = File::options()
            .append(true)
            .open(file)
            .and_then(|mut file| file.write_all(format!("{want}\n").as_bytes()))
    {
        eprintln!("{SKIPS} can't be written: {error}");
    }
}
