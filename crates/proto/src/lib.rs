//! Generated gRPC and event types, and their conversions to and from domain.
