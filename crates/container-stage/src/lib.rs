//! What the stages that run in containers share: builder, test-runner and deployer each have a container engine.

pub mod checkout;
pub mod clean_up;
pub mod edge_image;
pub mod limits;
pub mod naming;
pub mod outcome;
pub mod output;
pub mod secrets;
