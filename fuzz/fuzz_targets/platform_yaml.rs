//! Every text is read as `platform.yaml` or refused with a reason, and what is read writes and reads back.
#![no_main]
#![allow(dead_code)]

#[path = "../../crates/domain/tests/property/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|text: &str| invariants::organisation(text));
