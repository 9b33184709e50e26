//! Faces teams: gRPC, webhooks, the inbox of commits; plans runs and takes approvals.
