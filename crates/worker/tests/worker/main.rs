//! Workers with scripted handlers against a real NATS server: no run is lost, none is stuck, nothing is done twice.

mod bed;
mod crashes;
mod outcomes;
mod queue;
mod runs;
mod scripted;
