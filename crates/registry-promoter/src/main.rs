//! The registry-promoter: publishes candidates and promotes releases.

use std::process::ExitCode;

use registry_promoter::{Config, Service};
use service_kit::main_of;

fn main() -> ExitCode {
    main_of(
        "registry-promoter",
        |config: Config, platform, bus, stop| Service::new(config, platform, bus).run(stop),
    )
}
