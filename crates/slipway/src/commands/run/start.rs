//! `slipway run start`.

use std::path::Path;

use clap::Args;
use proto::gateway::v1::{Run, StartRunRequest};

use crate::Verdict;
use crate::commands::Context;
use crate::commands::watching::{self, Show, Until};
use crate::error::CliError;
use crate::output::run::Runs;
use crate::render::run::short_id;
use crate::render::run::title;

const EXAMPLES: &str = "\
Examples:
  slipway run start --repository . --ref main --wait
  slipway run start --repository https://git.example.org/shop.git --ref v1.4.0 --service delivery
  slipway run start --repository . --ref fix-totals --proposal 42       build and test only, deploy nothing
  slipway run start --repository . --ref main --wait --output json | jq -r '.runs[].version'

In a repository of several services there is a run for each folder that has a slipway.yaml, also
where nothing changed; --service starts one alone. Only pushes and pull requests that a webhook or
an event tells of leave out the services that they don't change.";

/// Which commit, and whether to wait.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StartArgs {
    /// A Git URL, or the path of a repository on the gateway's machine
    #[arg(long, value_name = "URL|PATH", default_value = ".")]
    repository: String,
    /// A branch, a tag or a commit [default: the repository's default branch]
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// Only this service of the repository [default: each that has a slipway.yaml]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// It is only proposed: build and test it under this name, such as a pull request's number
    #[arg(long, value_name = "NAME")]
    proposal: Option<String>,
    /// Build and test again, even if this commit was carried before
    #[arg(long)]
    fresh: bool,
    /// Two starts with the same id make one run; for scripts that may be repeated
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Wait until each run has ended or waits for approval
    #[arg(long, short)]
    wait: bool,
}

pub(super) async fn run(args: StartArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let request = StartRunRequest {
        repository: place(&args.repository)?,
        reference: args.reference.unwrap_or_default(),
        service: args.service.unwrap_or_default(),
        request_id: args
            .request_id
            .unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        proposal: args.proposal.unwrap_or_default(),
        fresh: args.fresh,
    };
    let runs = context.gateway.start_run(request).await?;
    answer(runs, args.wait, context).await
}

/// Prints runs that were started, after waiting for them if that is wanted.
async fn answer(
    mut runs: Vec<Run>,
    wait: bool,
    context: &Context<'_>,
) -> Result<Verdict, CliError> {
    let terminal = context.terminal;
    if wait {
        let show = if terminal.is_json() {
            Show::Nothing
        } else {
            Show::Progress
        };
        runs = watching::watch(runs, Until::AtRest, show, context).await?;
    }
    terminal.answer(&Runs::of(&runs), || match wait {
        true => watching::endings(&runs, &context.page()),
        false if runs.iter().any(|run| run.state == "failed") => {
            watching::endings(&runs, &context.page())
        }
        false => started(&runs),
    })?;
    let refused = runs.iter().any(|run| run.state == "failed");
    Ok(if wait || refused {
        watching::verdict(&runs)
    } else {
        Verdict::Good
    })
}

fn started(runs: &[Run]) -> String {
    let line = |run: &Run| {
        format!(
            "{}  {}\n  watch it: slipway run watch {}\n",
            run.run_id,
            title(run),
            short_id(&run.run_id)
        )
    };
    if runs.is_empty() {
        "Nothing was started: the repository has no service.".to_owned()
    } else {
        runs.iter().map(line).collect()
    }
}

/// A URL as it is; a path made absolute, for the gateway has another working directory.
fn place(given: &str) -> Result<String, CliError> {
    // `https://…`, `file://…`, `git@host:path`: whatever is a folder here is a path all the same.
    let path = Path::new(given);
    let remote = given.contains("://") || (given.contains(':') && !given.starts_with(['.', '/']));
    if remote && !path.is_dir() {
        return Ok(given.to_owned());
    }
    let absolute = path.canonicalize().map_err(|error| {
        CliError::Refused(format!(
            "there is no repository at {given}: {error}; give a Git URL or the path of a repository"
        ))
    })?;
    absolute.into_os_string().into_string().map_err(|path| {
        CliError::Refused(format!(
            "the path {} is not UTF-8 and can't be sent to the gateway",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_stay_as_they_are() {
        for url in [
            "https://git.example.org/shop.git",
            "git@git.example.org:shop.git",
            "file:///srv/shop",
        ] {
            assert_eq!(place(url).unwrap(), url);
        }
    }

    #[test]
    fn paths_are_made_absolute() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let given = format!("{}/./", path.display());
        assert_eq!(place(&given).unwrap(), path.to_str().unwrap());
        assert!(
            place("/nowhere/at/all")
                .unwrap_err()
                .to_string()
                .contains("no repository at /nowhere/at/all")
        );
    }
}
