//! The loop around a stage: take its job, claim it, run it, append the outcome, enqueue what became ready.
