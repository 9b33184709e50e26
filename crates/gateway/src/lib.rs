//! Faces teams: gRPC, webhooks, the inbox of commits; plans runs and takes approvals.

pub mod commit_event;
pub mod webhook;
