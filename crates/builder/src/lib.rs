//! Checks out a commit, builds its workspace and its container image.
