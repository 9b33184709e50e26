//! Rolls releases out to environments and back.
