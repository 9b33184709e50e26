//! The deployer: rolls releases out to environments and back.

use std::process::ExitCode;

use deployer::{Config, Service};
use service_kit::main_of;

fn main() -> ExitCode {
    main_of("deployer", |config: Config, platform, bus, stop| {
        Service::new(config, platform, bus).run(stop)
    })
}
