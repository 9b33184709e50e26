//! The registries of a platform file, as they are reached from here.

use std::path::Path;
use std::time::Duration;

use domain::platform::{self, PlatformSpec};
use registry::{ErrorClass, Registry, RegistryConfig};

use crate::output::doctor::Check;

const PATIENCE: Duration = Duration::from_secs(10);

/// The two registries; nothing if no platform file is named, for the gateway tells about its own.
pub(super) async fn check(platform: Option<&Path>) -> Vec<Check> {
    let Some(path) = platform else {
        return Vec::new();
    };
    let platform = match read(path) {
        Ok(platform) => platform,
        Err(check) => return vec![check],
    };
    let (development, production) = tokio::join!(
        ask("registry development", &platform.registries.development),
        ask("registry production", &platform.registries.production),
    );
    vec![development, production]
}

fn read(path: &Path) -> Result<PlatformSpec, Check> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Check::bad(
            "platform",
            true,
            format!("can't read {shown}: {error}"),
            "name another with --platform",
        )
    })?;
    platform::parse(&shown, &text).map_err(|found| {
        let detail = format!("{shown} has mistakes ({})", found.len());
        Check::bad(
            "platform",
            true,
            detail,
            format!("see them with: slipway lint {shown}"),
        )
    })
}

async fn ask(name: &str, registry: &platform::Registry) -> Check {
    let mend = "start it, or correct its address in the platform file";
    let endpoint = registry.endpoint();
    let config = RegistryConfig::new(&registry.address).with_endpoint(&endpoint);
    let client = match Registry::new(&config) {
        Ok(client) => client,
        Err(error) => return Check::bad(name, true, error.to_string(), mend),
    };
    match tokio::time::timeout(PATIENCE, client.ping()).await {
        Ok(Ok(())) => Check::ok(name, format!("answers at {endpoint}")),
        // The secret is the services' and not ours: that it is asked for shows that a registry is there.
        Ok(Err(error))
            if error.class() == ErrorClass::Refused && registry.credentials.is_some() =>
        {
            Check::ok(name, format!("answers at {endpoint} and asks for a login"))
        }
        Ok(Err(error)) => Check::bad(name, true, error.to_string(), mend),
        Err(_) => Check::bad(name, true, format!("no answer from {endpoint}"), mend),
    }
}
