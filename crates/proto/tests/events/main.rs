//! Events as bytes: what was written once can be read for ever, and comes back as what it was.

mod examples;
mod foreign;
mod golden;
mod round_trip;
