//! When a bad canary is aborted and a good one is not: the judge beside fixed thresholds and Mann-Whitney U, simulated
//! with the same requests. Seeds are fixed, so the numbers are the same on every machine.

mod mann_whitney;
mod numbers;
mod peers;

use anyhow::Result;

use crate::report::Report;
use numbers::Numbers;
use peers::{Judging, MannWhitney, Sequential, Threshold};

/// Every five seconds for an hour, at 100 requests a second, of which the canary gets a tenth.
const LOOKS: usize = 720;
const CANARY: u64 = 50;
const STABLE: u64 = 450;
const STABLE_RATE: f64 = 0.01;

/// Simulated rollouts of good versions, and of bad ones.
const GOOD: u64 = 500;
const BAD: u64 = 200;

/// What came between two looks: requests and failures of the canary and of the stable version.
#[derive(Debug, Clone, Copy)]
struct Block {
    canary: (u64, u64),
    stable: (u64, u64),
}

/// What happens to the requests.
#[derive(Debug, Clone, Copy)]
enum Scenario {
    /// Nothing: both fail as often.
    Good,
    /// Both fail as often, for two minutes ten times as often.
    Outage,
    /// The canary fails more often, by so much.
    Bad(f64),
}

impl Scenario {
    /// The rates of the canary and of the stable version at a look.
    fn rates(self, look: usize) -> (f64, f64) {
        match self {
            Self::Good => (STABLE_RATE, STABLE_RATE),
            Self::Outage if (360..384).contains(&look) => (10.0 * STABLE_RATE, 10.0 * STABLE_RATE),
            Self::Outage => (STABLE_RATE, STABLE_RATE),
            Self::Bad(more) => (STABLE_RATE + more, STABLE_RATE),
        }
    }
}

/// A way to judge, anew for each rollout.
struct Way {
    name: &'static str,
    begin: fn() -> Result<Box<dyn Judging>>,
}

const WAYS: [Way; 7] = [
    Way {
        name: "sequential, max_increase 0%",
        begin: || Ok(Box::new(Sequential::new("0%")?)),
    },
    Way {
        name: "sequential, max_increase 1%",
        begin: || Ok(Box::new(Sequential::new("1%")?)),
    },
    Way {
        name: "more than 2 % in a minute",
        begin: || Ok(Box::new(Threshold::new(0.02, 0))),
    },
    Way {
        name: "more than 2 % in 4 minutes",
        begin: || Ok(Box::new(Threshold::new(0.02, 3))),
    },
    Way {
        name: "more than 5 % in a minute",
        begin: || Ok(Box::new(Threshold::new(0.05, 0))),
    },
    Way {
        name: "Mann-Whitney U, each minute",
        begin: || Ok(Box::new(MannWhitney::new(12))),
    },
    Way {
        name: "Mann-Whitney U, once at the end",
        begin: || Ok(Box::new(MannWhitney::new(LOOKS))),
    },
];

/// What became of the simulated rollouts.
struct Outcome {
    rollouts: u64,
    /// Requests to the canary until each was aborted, in order.
    aborted: Vec<u64>,
}

impl Outcome {
    fn share(&self) -> f64 {
        self.aborted.len() as f64 / self.rollouts as f64
    }

    /// Half of the rollouts were aborted after so many requests to the canary; none where fewer than half were.
    fn median(&self) -> Option<u64> {
        self.aborted
            .get(self.rollouts.div_ceil(2) as usize - 1)
            .copied()
    }

    fn found(&self) -> String {
        match self.median() {
            Some(median) if self.share() < 1.0 => {
                format!("{median} ({:.0} %)", self.share() * 100.0)
            }
            Some(median) => median.to_string(),
            None => format!("({:.0} %)", self.share() * 100.0),
        }
    }
}

pub(crate) fn measure() -> Result<Report> {
    let mut report = Report::new(
        "Judging a canary (simulated: 1 % of requests fail, the canary gets 10 of 100 a second, an hour long)",
    );
    let mut rows = Vec::new();
    let mut sequential = Vec::new();
    for way in &WAYS {
        let good = simulate(way, Scenario::Good, GOOD)?;
        let outage = simulate(way, Scenario::Outage, GOOD)?;
        let mut row = vec![way.name.to_owned()];
        row.extend([&good, &outage].map(|outcome| format!("{:.1} %", outcome.share() * 100.0)));
        let mut bad = Vec::new();
        for more in [0.01, 0.05, 0.2] {
            bad.push(simulate(way, Scenario::Bad(more), BAD)?);
        }
        row.extend(bad.iter().map(Outcome::found));
        rows.push(row);
        sequential.push((good, outage, bad));
    }
    report.table(
        &[
            "",
            "good: aborted",
            "outage of both: aborted",
            "+1 %: requests",
            "+5 %: requests",
            "+20 %: requests",
        ],
        &rows,
    );
    report.note(
        "Requests: to the canary until half of the bad ones were aborted (and the share that ever was, where not all).",
    );
    goals(&mut report, &sequential);
    Ok(report)
}

fn goals(report: &mut Report, outcomes: &[(Outcome, Outcome, Vec<Outcome>)]) {
    let [strict, default, ..] = outcomes else {
        return;
    };
    let worst = [&strict.0, &strict.1, &default.0, &default.1, &default.2[0]];
    let worst = worst.map(Outcome::share).into_iter().fold(0.0, f64::max);
    report.goal(
        "false aborts of the judge, in the worst of its cases",
        format!("{:.1} %", worst * 100.0),
        "≤ 1 %, as said",
        worst <= 0.01,
    );
    let mann_whitney = &outcomes[5].2;
    for (index, more) in [(1, "+5 %"), (2, "+20 %")] {
        let (ours, peer) = (default.2[index].median(), mann_whitney[index].median());
        let show =
            |median: Option<u64>| median.map_or_else(|| "not found".to_owned(), |m| m.to_string());
        report.goal(
            &format!("requests until {more} is found, against Mann-Whitney U"),
            format!("{} over {}", show(ours), show(peer)),
            "fewer",
            ours.is_some_and(|ours| peer.is_none_or(|peer| ours < peer)),
        );
    }
}

fn simulate(way: &Way, scenario: Scenario, rollouts: u64) -> Result<Outcome> {
    let mut aborted = Vec::new();
    for seed in 0..rollouts {
        let mut numbers = Numbers::new(seed);
        let mut judging = (way.begin)()?;
        for look in 0..LOOKS {
            let (canary, stable) = scenario.rates(look);
            let block = Block {
                canary: (CANARY, numbers.failures(CANARY, canary)),
                stable: (STABLE, numbers.failures(STABLE, stable)),
            };
            if judging.aborts(block) {
                aborted.push(CANARY * (look as u64 + 1));
                break;
            }
        }
    }
    aborted.sort_unstable();
    Ok(Outcome { rollouts, aborted })
}
