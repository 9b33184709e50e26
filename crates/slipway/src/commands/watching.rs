//! Watching one run or several until they are at rest: live in a terminal, line by line elsewhere.

use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt as _};
use proto::gateway::v1::Run;

use super::Context;
use crate::Verdict;
use crate::error::CliError;
use crate::follow::{Seen, follow, has_ended, is_at_rest};
use crate::render::{Page, change, ending, run as screens};
use crate::terminal::{LiveScreen, Terminal};

/// How often the times on the screen go on.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// When the watching is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// When the run has ended, or waits for a person.
    AtRest,
    /// Only when it has ended.
    Ended,
}

/// What is printed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// What happens, as people read it.
    Progress,
    /// The run as JSON at every change, on a line.
    JsonLines,
    /// Nothing: the caller prints the end.
    Nothing,
}

/// Watches runs and returns them as they are in the end, in the same order.
pub(super) async fn watch(
    runs: Vec<Run>,
    until: Until,
    show: Show,
    context: &Context<'_>,
) -> Result<Vec<Run>, CliError> {
    let mut events = stream::select_all(runs.iter().enumerate().map(|(index, run)| {
        let seen = follow::<Run>(context.gateway.clone(), run.run_id.clone());
        Box::pin(seen.map(move |seen| (index, seen))) as Pin<Box<dyn Stream<Item = _> + Send>>
    }));
    let mut board = Board {
        runs,
        done: Vec::new(),
        known: Vec::new(),
        gateway_lost: None,
    };
    board.done = vec![false; board.runs.len()];
    board.known = vec![None; board.runs.len()];
    let mut reporter = Reporter::new(show, context.terminal);
    let mut tick = tokio::time::interval(TICK);
    while board.done.contains(&false) {
        tokio::select! {
            event = events.next() => match event {
                Some((index, seen)) => {
                    board.see(index, seen?, until, &mut reporter, &context.page())?;
                }
                None => break,
            },
            _ = tick.tick() => {}
        }
        reporter.draw(&board, &context.page())?;
    }
    reporter.finish()?;
    Ok(board.runs)
}

/// 0 only if no run failed or was cancelled; waiting for a person is no failure.
pub(super) fn verdict(runs: &[Run]) -> Verdict {
    Verdict::good_if(
        runs.iter()
            .all(|run| matches!(run.state.as_str(), "succeeded" | "waiting_for_approval")),
    )
}

/// The last screens of runs that are at rest.
pub(super) fn endings(runs: &[Run], page: &Page) -> String {
    let screens: Vec<String> = runs
        .iter()
        .map(|run| ending::screen_of(run, page))
        .collect();
    screens.join("\n\n")
}

struct Board {
    runs: Vec<Run>,
    done: Vec<bool>,
    known: Vec<Option<Run>>,
    gateway_lost: Option<String>,
}

impl Board {
    fn see(
        &mut self,
        index: usize,
        seen: Seen<Run>,
        until: Until,
        reporter: &mut Reporter<'_>,
        page: &Page,
    ) -> Result<(), CliError> {
        match seen {
            Seen::Now(run) => {
                self.done[index] |= match until {
                    Until::AtRest => is_at_rest(&run),
                    Until::Ended => has_ended(&run),
                };
                reporter.changed(self.known[index].as_ref(), &run, page)?;
                self.known[index] = Some((*run).clone());
                self.runs[index] = *run;
            }
            Seen::Lost { reason } => {
                if self.gateway_lost.is_none() {
                    reporter.note(&format!(
                        "lost the gateway ({reason}); the run goes on, asking again …"
                    ));
                }
                self.gateway_lost = Some(reason);
            }
            Seen::Back => {
                if self.gateway_lost.take().is_some() {
                    reporter.note("the gateway is back");
                }
            }
        }
        Ok(())
    }
}

struct Reporter<'a> {
    show: Show,
    terminal: &'a Terminal,
    live: Option<LiveScreen>,
}

impl<'a> Reporter<'a> {
    fn new(show: Show, terminal: &'a Terminal) -> Self {
        let live = (show == Show::Progress && terminal.is_live()).then(LiveScreen::begin);
        Self {
            show,
            terminal,
            live,
        }
    }

    fn changed(&self, before: Option<&Run>, now: &Run, page: &Page) -> Result<(), CliError> {
        match self.show {
            Show::Progress if self.live.is_none() => change::lines(before, now, page)
                .iter()
                .try_for_each(|line| self.terminal.text(line)),
            Show::JsonLines => self.terminal.json_line(&crate::output::run::Run::of(now)),
            Show::Progress | Show::Nothing => Ok(()),
        }
    }

    /// Said below nothing and above nothing: a live screen says it itself.
    fn note(&self, text: &str) {
        if self.live.is_none() {
            self.terminal.note(text);
        }
    }

    fn draw(&mut self, board: &Board, page: &Page) -> Result<(), CliError> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        let runs: Vec<&Run> = board.runs.iter().collect();
        // Two lines are left for the message below and the prompt.
        let mut lines = screens::screens(
            &runs,
            &Page {
                height: page.height.saturating_sub(2),
                ..*page
            },
        );
        if let Some(reason) = &board.gateway_lost {
            let text = format!("Lost the gateway ({reason}); the run goes on, asking again …");
            lines.push(page.fit(&page.paint.attention(&text)));
        }
        Ok(live.draw(&lines)?)
    }

    /// Makes room for the endings.
    fn finish(mut self) -> Result<(), CliError> {
        match &mut self.live {
            Some(live) => Ok(live.clear()?),
            None => Ok(()),
        }
    }
}
