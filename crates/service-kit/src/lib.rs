//! What every service's main needs: configuration, telemetry, authentication, health, shutdown.
