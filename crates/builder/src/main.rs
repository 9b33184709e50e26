//! The builder: checks out commits, builds workspaces and container images.

use std::process::ExitCode;

use builder::{Config, Service};
use service_kit::main_of;

fn main() -> ExitCode {
    main_of("builder", |config: Config, platform, bus, stop| {
        Service::new(config, platform, bus).run(stop)
    })
}
