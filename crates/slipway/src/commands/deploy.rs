//! `slipway deploy`.

use clap::Args;
use proto::gateway::v1::{DeployRequest, Run};
use proto::preview::v1::DeploymentPreview;

use super::Context;
use super::watching::{self, Show, Until};
use crate::Verdict;
use crate::error::CliError;
use crate::render::run::{short_id, title};
use crate::{output, render};

const EXAMPLES: &str = "\
Examples:
  slipway deploy delivery 1.4.0 --to production --wait
  slipway deploy delivery 1.5.0-rc.2 --to test
  slipway deploy delivery 1.4.0 --to production --dry-run
  slipway deploy delivery --to production --overwrite-changes   # undo what was changed by hand

`--dry-run` starts no run and changes nothing: it shows what would change in the environment, what would stop it and
who must agree first. The exit code is 1 if something would stop it. Values of secrets are not shown.
`slipway release list --service delivery` shows the versions that there are.";

/// The option that lets a rollout overwrite what others changed.
pub(super) const OVERWRITE: &str = "--overwrite-changes";

/// What to bring where.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DeployArgs {
    /// The service
    service: String,
    /// The version: a release, or a candidate where the environment takes candidates [default with
    /// --overwrite-changes: the one that is there]
    #[arg(required_unless_present = "overwrite_changes")]
    version: Option<String>,
    /// The environment
    #[arg(long = "to", value_name = "ENVIRONMENT")]
    environment: String,
    /// Why; it is kept with the run
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Wait until it is done or waits for approval
    #[arg(long, short)]
    wait: bool,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Overwrite what somebody else changed on the service's objects, instead of stopping there
    #[arg(long)]
    overwrite_changes: bool,
}

pub(super) async fn run(args: DeployArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let DeployArgs {
        service,
        version,
        environment,
        reason,
        wait,
        dry_run,
        overwrite_changes,
    } = args;
    let version = version.unwrap_or_default();
    let words = ["slipway deploy", &service, &version, "--to", &environment];
    let words = words
        .into_iter()
        .chain(overwrite_changes.then_some(OVERWRITE));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let command = words.join(" ") + &because(&reason);
    let request = DeployRequest {
        service,
        version,
        environment,
        reason,
        overwrite_changes,
    };
    if dry_run {
        let preview = context.gateway.preview_deploy(request).await?;
        return show(&preview, &command, context);
    }
    let run = context.gateway.deploy(request).await?;
    answer(run, wait, context).await
}

/// The option that says why, if that was said, as a shell takes it.
pub(super) fn because(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(" --reason '{}'", reason.replace('\'', r"'\''")),
    }
}

/// Prints what `command` would change.
pub(super) fn show(
    preview: &DeploymentPreview,
    command: &str,
    context: &Context<'_>,
) -> Result<Verdict, CliError> {
    let document = output::preview::Preview::of(preview);
    context.terminal.answer(&document, || {
        render::preview::show(preview, command, &context.page())
    })?;
    Ok(Verdict::good_if(preview.obstacles.is_empty()))
}

/// Prints a run that was started, after waiting for it if that is wanted.
pub(super) async fn answer(
    run: Run,
    wait: bool,
    context: &Context<'_>,
) -> Result<Verdict, CliError> {
    let terminal = context.terminal;
    let mut runs = vec![run];
    if wait {
        let show = if terminal.is_json() {
            Show::Nothing
        } else {
            Show::Progress
        };
        runs = watching::watch(runs, Until::AtRest, show, context).await?;
    }
    for run in &runs {
        terminal.answer(&output::run::Run::of(run), || match wait {
            true => watching::endings(std::slice::from_ref(run), &context.page()),
            false => started(run),
        })?;
    }
    Ok(if wait {
        watching::verdict(&runs)
    } else {
        Verdict::Good
    })
}

fn started(run: &Run) -> String {
    let place = if run.environment.is_empty() {
        String::new()
    } else {
        format!(" to {}", run.environment)
    };
    let id = short_id(&run.run_id);
    format!(
        "{}  {} of {}{place}\n  watch it: slipway run watch {id}",
        run.run_id,
        run.kind,
        title(run)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_word_to_a_shell() {
        assert_eq!(because(""), "");
        assert_eq!(because("it's late"), r" --reason 'it'\''s late'");
    }
}
