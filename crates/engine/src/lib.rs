//! Containers: run a step, stream its output, build an image.
//!
//! [`Engine`] is the one way in: a cheap handle on a Docker engine (20.10 or newer). Everything that the services do
//! with containers goes through it:
//!
//! * [`Engine::run_step`] runs a team's commands in one limited, unprivileged container and streams what they print;
//! * [`Engine::build_image`] builds an image with BuildKit, or with the classic builder where there is no BuildKit;
//! * [`Engine::start_service`] and its companions keep long-running containers;
//! * images, networks and archives have a method each; [`Engine::remove_labelled`] clears what a crash left behind.
//!
//! Every call to the engine has a time limit, and every [`Error`] has a [class](Error::class) that says whether the
//! user's input or the infrastructure is at fault, and whether trying again makes sense.
#![warn(missing_docs)]

mod archive;
mod build;
mod cleanup;
mod connection;
mod container;
mod credentials;
mod error;
mod image;
pub mod labels;
mod limits;
mod network;
mod output;
mod step;

pub use archive::{
    ByteStream, byte_stream, bytes_stream, collect, reroot, tar_directory, tar_files,
};
pub use build::{BuildSpec, BuiltImage, Context};
pub use cleanup::{ListedImage, Removed};
pub use connection::Engine;
pub use container::exec::{ExecOutput, ExecSpec};
pub use container::logs::LogLine;
pub use container::state::{ContainerInfo, ContainerState, Health, PublishedPort};
pub use container::{ContainerId, ContainerSpec, PublishPort, RestartPolicy};
pub use credentials::{Credentials, Secret};
pub use error::{Error, ErrorClass, Result};
pub use image::ImageInfo;
pub use limits::Limits;
pub use network::Attachment;
pub use output::{OutputChunk, OutputSink, OutputStream};
pub use step::{Mount, StepCommand, StepEnd, StepExit, StepSpec, shell_script};
