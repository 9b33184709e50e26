//! What Slipway knows: specification, plan, run, release, rollout. Pure: no I/O, no clock.
