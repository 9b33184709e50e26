//! Containers: run a step, stream its output, build an image.
