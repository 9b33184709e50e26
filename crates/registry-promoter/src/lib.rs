//! Publishes candidates and promotes releases between registries.
