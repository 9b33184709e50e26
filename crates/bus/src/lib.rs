//! Event store, job queue and logs on NATS JetStream; every subject in one file.
