//! Carries services through the pipeline: as many side by side as their needs allow.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use tokio::task::JoinSet;

use super::client::{Client, Run};
use super::progress::{Line, Progress};
use super::services::Service;

/// A service to carry, and the repository that it comes from.
#[derive(Debug, Clone)]
pub(super) struct Cargo {
    pub service: Service,
    pub repository: PathBuf,
}

/// How the services fared.
#[derive(Debug, Default)]
pub(super) struct Fared {
    /// The runs that ended well, by service.
    pub well: Vec<(String, Run)>,
    /// Those that did not, each with its run if it came to one, or the reason why it didn't.
    pub badly: Vec<(String, Result<Run>)>,
    /// Services that were not started, because what they need failed or because the first failure ends it.
    pub left: Vec<String>,
}

/// Carries the services, each when all that it needs among them is deployed. After a failure only what was begun is
/// finished, unless it is to `keep_going`.
pub(super) async fn carry(
    client: &Client,
    mut waiting: Vec<Cargo>,
    keep_going: bool,
) -> Result<Fared> {
    let names: Vec<_> = waiting
        .iter()
        .map(|cargo| cargo.service.name.clone())
        .collect();
    let progress = Progress::new(names.iter().map(String::as_str));
    let mut not_there: BTreeSet<String> = names.iter().cloned().collect();
    let mut under_way = JoinSet::new();
    let mut fared = Fared::default();
    loop {
        if fared.badly.is_empty() || keep_going {
            for cargo in take_ready(&mut waiting, &not_there) {
                let line = progress.line(&cargo.service.name);
                under_way.spawn(one(client.clone(), cargo, line));
            }
        }
        let Some(ended) = under_way.join_next().await else {
            break;
        };
        match ended? {
            (name, Ok(run)) if run.succeeded() => {
                not_there.remove(&name);
                fared.well.push((name, run));
            }
            (name, other) => fared.badly.push((name, other)),
        }
    }
    fared.left = waiting
        .into_iter()
        .map(|cargo| cargo.service.name)
        .collect();
    Ok(fared)
}

/// Takes out those that need nothing that isn't there.
fn take_ready(waiting: &mut Vec<Cargo>, not_there: &BTreeSet<String>) -> Vec<Cargo> {
    let (ready, later) = std::mem::take(waiting)
        .into_iter()
        .partition(|cargo| cargo.service.needs.is_disjoint(not_there));
    *waiting = later;
    ready
}

async fn one(client: Client, cargo: Cargo, mut line: Line) -> (String, Result<Run>) {
    let followed = async {
        let run = client.start(&cargo.repository).await?;
        client.follow(run, |run| line.see(run)).await
    }
    .await;
    let seconds = line.elapsed().as_secs_f64();
    match &followed {
        Ok(run) if run.succeeded() => line.end(
            true,
            &format!(
                "{}  {} stages in {seconds:.0} s",
                run.version,
                run.stages.len()
            ),
        ),
        Ok(run) => line.end(false, &run.state.replace('_', " ")),
        Err(_) => line.end(false, "stopped by an error"),
    }
    (cargo.service.name, followed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cargo(name: &str, needs: &[&str]) -> Cargo {
        let service = Service {
            name: name.to_owned(),
            folder: PathBuf::new(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        };
        Cargo {
            service,
            repository: PathBuf::new(),
        }
    }

    #[test]
    fn a_service_is_ready_when_what_it_needs_is_there() {
        let mut waiting = vec![cargo("a", &[]), cargo("b", &["a"]), cargo("c", &["away"])];
        let mut not_there = BTreeSet::from(["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        let names = |cargoes: Vec<Cargo>| -> Vec<String> {
            cargoes
                .into_iter()
                .map(|cargo| cargo.service.name)
                .collect()
        };
        // What is not carried now, as `away`, is there already.
        assert_eq!(names(take_ready(&mut waiting, &not_there)), ["a", "c"]);
        not_there.remove("a");
        assert_eq!(names(take_ready(&mut waiting, &not_there)), ["b"]);
    }
}
