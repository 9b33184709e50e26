//! OCI registries: copy by digest, referrers, tags.
