//! `slipway run logs`.

use std::time::Duration;

use clap::Args;
use proto::gateway::v1::{LogLine, ReadLogsRequest, Run};
use tonic::Status;

use super::RunArg;
use crate::Verdict;
use crate::commands::{Context, run_id};
use crate::error::CliError;
use crate::failure;
use crate::follow::PATIENCE;
use crate::output;
use crate::render::log::{self, Prefix};

/// How long to wait before a lost gateway is asked again.
const PAUSE: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  slipway run logs 5f2c8a1b --stage unit-test
  slipway run logs 5f2c8a1b -f
  slipway run logs 5f2c8a1b --output json | jq -r 'select(.stream == \"stderr\") | .text'

Lines of the error stream are marked with '!' instead of '│'.";

/// Which output.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LogsArgs {
    #[command(flatten)]
    run: RunArg,
    /// Only this stage, such as unit-test or deploy:test
    #[arg(long, short, value_name = "STAGE")]
    stage: Option<String>,
    /// Go on with what comes, until the run has ended
    #[arg(long, short)]
    follow: bool,
}

pub(super) async fn run(args: LogsArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let run_id = run_id::resolve(&context.gateway, &args.run.run).await?;
    let run = context.gateway.run(&run_id).await?;
    let stage = args.stage.unwrap_or_default();
    check_stage(&run, &stage)?;
    let request = ReadLogsRequest {
        run_id,
        stage,
        follow: args.follow,
    };
    let mut reader = Reader {
        prefix: prefix(&run, &request.stage),
        printed: 0,
        context,
    };
    reader.read_to_the_end(&request).await?;
    if reader.printed == 0 {
        context.terminal.note(&nothing(&run, &request.stage));
    }
    Ok(Verdict::Good)
}

/// Why there is no output, where that is known.
fn nothing(run: &Run, stage: &str) -> String {
    match run.stages.iter().find(|s| s.name == stage) {
        Some(s) if s.state == "skipped" => format!("{stage} printed nothing: {}", s.reason),
        _ => "nothing was printed yet".to_owned(),
    }
}

/// A stage that the run doesn't have would be waited for in vain.
fn check_stage(run: &Run, stage: &str) -> Result<(), CliError> {
    let names: Vec<&str> = run.stages.iter().map(|s| s.name.as_str()).collect();
    if stage.is_empty() || names.is_empty() || names.contains(&stage) {
        return Ok(());
    }
    Err(CliError::Refused(format!(
        "the run has no stage '{stage}'; it has {}",
        names.join(", ")
    )))
}

fn prefix(run: &Run, stage: &str) -> Prefix {
    if stage.is_empty() {
        Prefix::Stage(
            run.stages
                .iter()
                .map(|s| s.name.chars().count())
                .max()
                .unwrap_or(0),
        )
    } else {
        Prefix::None
    }
}

struct Reader<'a> {
    prefix: Prefix,
    /// Lines printed so far: a second reading begins behind them.
    printed: usize,
    context: &'a Context<'a>,
}

impl Reader<'_> {
    async fn read_to_the_end(&mut self, request: &ReadLogsRequest) -> Result<(), CliError> {
        let mut lost_since = None;
        loop {
            let before = self.printed;
            let status = match self.read(request).await? {
                Ok(()) => return Ok(()),
                Err(status) if failure::is_lost(&status) => status,
                Err(status) => return Err(self.context.gateway.explain(&status)),
            };
            if lost_since.is_none() && before == 0 && self.printed == 0 {
                // It was never there.
                return Err(self.context.gateway.explain(&status));
            }
            if self.printed > before {
                lost_since = None;
            }
            let since = *lost_since.get_or_insert_with(|| {
                self.context
                    .terminal
                    .note("lost the gateway; asking again …");
                tokio::time::Instant::now()
            });
            if since.elapsed() > PATIENCE {
                return Err(self.context.gateway.explain(&status));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The outer error is ours, the inner one the gateway's.
    async fn read(&mut self, request: &ReadLogsRequest) -> Result<Result<(), Status>, CliError> {
        let mut stream = match self.context.gateway.read_logs(request.clone()).await {
            Ok(stream) => stream,
            Err(status) => return Ok(Err(status)),
        };
        let mut behind = self.printed;
        loop {
            match stream.message().await {
                Ok(Some(chunk)) => {
                    let skipped = behind.min(chunk.lines.len());
                    behind -= skipped;
                    self.print(&chunk.lines[skipped..])?;
                }
                Ok(None) => return Ok(Ok(())),
                Err(status) => return Ok(Err(status)),
            }
        }
    }

    fn print(&mut self, lines: &[LogLine]) -> Result<(), CliError> {
        if lines.is_empty() {
            return Ok(());
        }
        let (terminal, page) = (self.context.terminal, self.context.page());
        let mut text = String::new();
        for line in lines {
            if terminal.is_json() {
                let line = output::log::LogLine::of(line);
                text.push_str(&serde_json::to_string(&line).map_err(std::io::Error::from)?);
            } else {
                text.push_str(&log::line(line, self.prefix, &page));
            }
            text.push('\n');
        }
        self.printed += lines.len();
        terminal.text(&text)
    }
}
