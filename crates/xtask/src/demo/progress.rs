//! Progress of several runs: a line for each that changes in place on a terminal, a line for each change elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::client::{Run, Stage};

/// All lines.
pub(super) struct Progress {
    bars: Option<MultiProgress>,
    /// Letters of the longest name.
    width: usize,
}

/// The line of one service.
pub(super) struct Line {
    service: String,
    bar: Option<ProgressBar>,
    began: Instant,
    /// What was printed last, where lines stay.
    printed: Option<String>,
}

impl Progress {
    pub(super) fn new<'a>(services: impl IntoIterator<Item = &'a str>) -> Self {
        let width = services.into_iter().map(str::len).max().unwrap_or_default();
        Self {
            bars: std::io::stdout().is_terminal().then(MultiProgress::new),
            width,
        }
    }

    /// Opens a service's line.
    pub(super) fn line(&self, service: &str) -> Line {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("  {msg}  {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        let padded = format!("{service:width$}", width = self.width);
        let mut line = Line {
            service: padded,
            bar,
            began: Instant::now(),
            printed: None,
        };
        line.say("begins");
        line
    }
}

impl Line {
    /// Shows where a run is.
    pub(super) fn see(&mut self, run: &Run) {
        let dots: String = run.stages.iter().map(|stage| dot(&stage.state)).collect();
        self.say(&format!("{} {dots} {}", run.version, under_way(run)));
    }

    /// Closes the line with how it ended.
    pub(super) fn end(self, good: bool, how: &str) {
        let sign = if good {
            style("✔").green()
        } else {
            style("✘").red()
        };
        let text = format!("{sign} {} {how}", self.service);
        match self.bar {
            Some(bar) => {
                bar.set_style(
                    ProgressStyle::with_template("  {msg}")
                        .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                );
                bar.finish_with_message(text);
            }
            None => println!("  {text}"),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn say(&mut self, what: &str) {
        let text = format!("· {} {what}", self.service);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            // Where lines stay, one for each step forward is enough.
            None if !text.ends_with(' ') && self.printed.as_ref() != Some(&text) => {
                println!("  {text}");
                self.printed = Some(text);
            }
            None => {}
        }
    }
}

/// The stages that are under way, by name.
fn under_way(run: &Run) -> String {
    let active = |stage: &&Stage| {
        matches!(
            stage.state.as_str(),
            "running" | "waiting_for_approval" | "failed" | "errored"
        )
    };
    let names: Vec<_> = run
        .stages
        .iter()
        .filter(active)
        .map(|stage| stage.name.as_str())
        .collect();
    names.join(", ")
}

fn dot(state: &str) -> char {
    match state {
        "succeeded" => '✔',
        "skipped" => '≡',
        "failed" | "errored" => '✘',
        "running" => '●',
        "waiting_for_approval" => '?',
        _ => '·',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, state: &str) -> Stage {
        Stage {
            name: name.to_owned(),
            state: state.to_owned(),
        }
    }

    #[test]
    fn stages_side_by_side_are_all_named() {
        let stages = vec![
            stage("build", "succeeded"),
            stage("unit-test", "running"),
            stage("image", "running"),
            stage("publish", "pending"),
        ];
        let dots: String = stages.iter().map(|stage| dot(&stage.state)).collect();
        assert_eq!(dots, "✔●●·");
        let run = Run {
            stages,
            ..Run::default()
        };
        assert_eq!(under_way(&run), "unit-test, image");
    }
}
