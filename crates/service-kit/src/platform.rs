//! The platform file, read at the start.

use std::path::Path;

use domain::platform::PlatformSpec;

/// Reads and checks `platform.yaml`.
///
/// # Errors
/// When it can't be read, or has mistakes: then with their places, underlined.
pub fn read(path: &Path) -> anyhow::Result<PlatformSpec> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        anyhow::anyhow!(
            "can't read the platform file {name}: {error}; name one with SLIPWAY_PLATFORM"
        )
    })?;
    domain::platform::parse(&name, &text).map_err(|mistakes| anyhow::anyhow!("{mistakes}"))
}
