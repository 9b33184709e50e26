//! The run that a person means by the beginning or the end of its id.

use proto::gateway::v1::{ListRunsRequest, Run};

use crate::connection::Gateway;
use crate::error::CliError;
use crate::render::run::title;

/// An id of this length is whole: the gateway is asked for nothing else.
const WHOLE: usize = 32;
/// Runs that are looked through, the newest first.
const LOOKED_THROUGH: usize = 1000;
/// Candidates that are shown when there are several.
const SHOWN: usize = 5;

/// The whole id.
///
/// # Errors
/// When no run of the newest thousand is meant, or more than one.
pub(super) async fn resolve(gateway: &Gateway, given: &str) -> Result<String, CliError> {
    let given = given.trim();
    if given.is_empty() {
        return Err(CliError::Usage(
            "the run's id is empty; `slipway run list` shows the runs".to_owned(),
        ));
    }
    if given.len() >= WHOLE {
        return Ok(given.to_owned());
    }
    let mut runs = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListRunsRequest {
            page_size: 200,
            page_token,
            ..ListRunsRequest::default()
        };
        let page = gateway.list_runs(request).await?;
        runs.extend(page.runs);
        page_token = page.next_page_token;
        if page_token.is_empty() || runs.len() >= LOOKED_THROUGH {
            return choose(given, &runs);
        }
    }
}

fn choose(given: &str, runs: &[Run]) -> Result<String, CliError> {
    let given = given.to_ascii_lowercase();
    if let Some(run) = runs.iter().find(|run| run.run_id == given) {
        return Ok(run.run_id.clone());
    }
    let meant = |run: &&Run| run.run_id.starts_with(&given) || run.run_id.ends_with(&given);
    let meant: Vec<&Run> = runs.iter().filter(meant).collect();
    match meant.as_slice() {
        [one] => Ok(one.run_id.clone()),
        [] => Err(CliError::UnknownRun(format!(
            "no run has an id that begins or ends with '{given}'; `slipway run list` shows the runs"
        ))),
        several => {
            let shown = several
                .iter()
                .take(SHOWN)
                .map(|run| format!("\n  {}  {}", run.run_id, title(run)));
            let shown: String = shown.collect();
            let count = several.len();
            Err(CliError::UnknownRun(format!(
                "'{given}' may be any of {count} runs; give more of the id:{shown}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Vec<Run> {
        let run = |id: &str| Run {
            run_id: id.into(),
            service: "delivery".into(),
            ..Run::default()
        };
        ["019a0b6e-1111-aaaa", "019a0b6e-2222-bbbb", "b-other"]
            .map(run)
            .to_vec()
    }

    #[test]
    fn a_beginning_or_an_end_is_enough_if_only_one_run_has_it() {
        assert_eq!(choose("bbbb", &runs()).unwrap(), "019a0b6e-2222-bbbb");
        assert_eq!(choose("019a0b6e-1", &runs()).unwrap(), "019a0b6e-1111-aaaa");
        assert_eq!(choose("AAAA", &runs()).unwrap(), "019a0b6e-1111-aaaa");
    }

    #[test]
    fn what_may_be_several_runs_names_them() {
        let text = choose("019a", &runs()).unwrap_err().to_string();
        assert!(text.starts_with(
            "'019a' may be any of 2 runs; give more of the id:\n  019a0b6e-1111-aaaa  delivery"
        ));
    }

    #[test]
    fn what_is_no_run_says_how_to_find_one() {
        assert!(
            choose("zzz", &runs())
                .unwrap_err()
                .to_string()
                .contains("slipway run list")
        );
    }
}
