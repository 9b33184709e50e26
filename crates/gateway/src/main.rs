//! The gateway: faces teams, plans runs and takes approvals.

use std::process::ExitCode;

use gateway::{Config, Service};
use service_kit::main_of;

fn main() -> ExitCode {
    main_of("gateway", |config: Config, platform, bus, stop| {
        Service::new(config, platform, bus).run(stop)
    })
}
