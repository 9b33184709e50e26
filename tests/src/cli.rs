//! What the `slipway` command answered.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The end of one call of the command.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether the exit code was 0.
    pub good: bool,
    /// What it printed.
    pub out: String,
    /// What it printed as errors.
    pub err: String,
}

impl Answer {
    /// The JSON that it printed, whatever the exit code.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {self:?}"))
    }

    /// The run that it printed: the only one.
    ///
    /// # Errors
    /// When there is another number of them.
    pub fn run(&self) -> Result<Value> {
        let json = self.json()?;
        let runs = json["runs"]
            .as_array()
            .with_context(|| format!("no runs: {self:?}"))?;
        ensure!(
            runs.len() == 1,
            "{} runs instead of one: {self:?}",
            runs.len()
        );
        Ok(runs[0].clone())
    }
}

/// A text of a JSON object; empty when it is absent.
#[must_use]
pub fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_default()
}

/// A stage of a run.
///
/// # Errors
/// When the run has no such stage.
pub fn stage<'a>(run: &'a Value, name: &str) -> Result<&'a Value> {
    let stages = run["stages"].as_array().context("a run without stages")?;
    let found = stages.iter().find(|stage| stage["name"] == name);
    found.with_context(|| format!("there is no stage {name}: {run:#}"))
}

/// Name and state of each stage, in order.
#[must_use]
pub fn stages(run: &Value) -> Vec<(String, String)> {
    let pair = |stage: &Value| {
        (
            text(stage, "name").to_owned(),
            text(stage, "state").to_owned(),
        )
    };
    run["stages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(pair)
        .collect()
}
