//! The test-runner: runs the tests of services and reads their reports.

use std::process::ExitCode;

use service_kit::main_of;
use test_runner::{Config, Service};

fn main() -> ExitCode {
    main_of("test-runner", |config: Config, platform, bus, stop| {
        Service::new(config, platform, bus).run(stop)
    })
}
