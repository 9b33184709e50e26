//! `cargo xtask bench`: the numbers that Slipway holds, each against a peer in the same run on the same machine.

mod edge_switch;
mod hand_over;
mod image;
mod judge;
mod machine;
mod nats;
mod noop;
mod promotion;
mod report;
mod rollout;
mod throughput;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// Measures and prints.
#[derive(Parser)]
struct Arguments {
    /// Only these parts
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From one stage's end to the next one's start
    HandOver,
    /// Whole runs that do nothing
    Runs,
    /// Image builds against `docker build`
    Image,
    /// Promotion against `skopeo copy`
    Promotion,
    /// Switching at the edge
    Edge,
    /// Judging canaries, simulated
    Judge,
    /// Canaries that are aborted, and the steps of one
    Rollout,
}

#[tokio::main]
async fn main() -> Result<()> {
    let only = Arguments::parse().only;
    println!("{}\n", machine::facts().await);
    for part in Part::value_variants() {
        if !only.is_empty() && !only.contains(part) {
            continue;
        }
        let measured = match part {
            Part::HandOver => hand_over::measure().await,
            Part::Runs => throughput::measure().await,
            Part::Image => image::measure().await,
            Part::Promotion => promotion::measure().await,
            Part::Edge => edge_switch::measure().await,
            Part::Judge => judge::measure(),
            Part::Rollout => rollout::measure().await,
        };
        match measured {
            Ok(measured) => println!("{measured}\n"),
            // The other parts can be measured all the same.
            Err(error) => println!("{part:?}: not measured: {error:#}\n"),
        }
    }
    Ok(())
}
