//! The weighted HTTP proxy of the docker target.
