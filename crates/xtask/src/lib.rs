//! Repository chores: demo, test, verify, bench, code generation.
