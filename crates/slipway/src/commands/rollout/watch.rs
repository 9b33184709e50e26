//! `slipway rollout watch`.

use std::pin::pin;

use clap::Args;
use futures::StreamExt as _;
use proto::gateway::v1::{Rollout, WatchRolloutRequest};

use super::Which;
use crate::Verdict;
use crate::commands::Context;
use crate::commands::watching::TICK;
use crate::error::CliError;
use crate::follow::{Seen, follow};
use crate::output;
use crate::render::{Page, rollout as screens};
use crate::terminal::LiveScreen;

const EXAMPLES: &str = "\
Examples:
  slipway rollout watch delivery --in production
  slipway rollout watch delivery --in production && echo complete
  slipway rollout watch delivery --in production --output json      the rollout at every change, one a line

The exit code is 0 only if the rollout completed.";

/// Which rollout.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WatchArgs {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn run(args: WatchArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let request = args.which.resolve(context).await?;
    let rollout = context.gateway.rollout(request).await?;
    // The same one, also after the gateway was away and another has begun.
    let which = WatchRolloutRequest {
        service: rollout.service.clone(),
        environment: rollout.environment.clone(),
        run_id: rollout.run_id.clone(),
    };
    let terminal = context.terminal;
    let mut board = Board {
        rollout,
        known: None,
        gateway_lost: None,
        live: terminal.is_live().then(LiveScreen::begin),
    };
    let mut events = pin!(follow::<Rollout>(context.gateway.clone(), which));
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            seen = events.next() => match seen {
                Some(seen) => board.see(seen?, context)?,
                None => break,
            },
            _ = tick.tick() => {}
        }
        board.draw(&context.page())?;
    }
    if let Some(live) = &mut board.live {
        live.clear()?;
    }
    if !terminal.is_json() {
        terminal.text(&screens::show(&board.rollout, &context.page()))?;
    }
    Ok(Verdict::good_if(board.rollout.state == "completed"))
}

struct Board {
    rollout: Rollout,
    known: Option<Rollout>,
    gateway_lost: Option<String>,
    live: Option<LiveScreen>,
}

impl Board {
    fn see(&mut self, seen: Seen<Rollout>, context: &Context<'_>) -> Result<(), CliError> {
        match seen {
            Seen::Now(rollout) => {
                if context.terminal.is_json() {
                    let document = output::rollout::Rollout::of(&rollout);
                    context.terminal.json_line(&document)?;
                } else if self.live.is_none() {
                    let page = context.page();
                    for line in screens::change::lines(self.known.as_ref(), &rollout, &page) {
                        context.terminal.text(&line)?;
                    }
                }
                self.known = Some((*rollout).clone());
                self.rollout = *rollout;
            }
            Seen::Lost { reason } => {
                self.note(
                    &format!("lost the gateway ({reason}); the rollout goes on, asking again …"),
                    context,
                );
                self.gateway_lost = Some(reason);
            }
            Seen::Back => {
                if self.gateway_lost.take().is_some() {
                    self.note("the gateway is back", context);
                }
            }
        }
        Ok(())
    }

    /// Says something where there is no live screen, which says it itself.
    fn note(&self, text: &str, context: &Context<'_>) {
        if self.live.is_none() {
            context.terminal.note(text);
        }
    }

    fn draw(&mut self, page: &Page) -> Result<(), CliError> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        // Two lines are left for the message below and the prompt.
        let height = page.height.saturating_sub(2);
        let mut lines = screens::screen(&self.rollout, &Page { height, ..*page });
        if let Some(reason) = &self.gateway_lost {
            let text = format!("Lost the gateway ({reason}); the rollout goes on, asking again …");
            lines.push(page.fit(&page.paint.attention(&text)));
        }
        Ok(live.draw(&lines)?)
    }
}
