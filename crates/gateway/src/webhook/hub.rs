//! Events of GitHub, and of Gitea and Forgejo, whose bodies have the same form.

use serde::Deserialize;

use super::{
    CommitPushed, Forge, ProposalClosed, PushKind, WebhookOutcome, is_zero,
    payload::{commit_id, parse, reference, repository},
};

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    reference: String,
    before: Option<String>,
    after: Option<String>,
    #[serde(default)]
    deleted: bool,
    head_commit: Option<Identified>,
    repository: Repository,
    sender: Option<Person>,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    clone_url: String,
    default_branch: Option<String>,
}

#[derive(Deserialize)]
struct Person {
    login: String,
}

#[derive(Deserialize)]
struct PullRequestEvent {
    action: String,
    number: u64,
    pull_request: PullRequest,
    repository: Repository,
    sender: Option<Person>,
}

#[derive(Deserialize)]
struct PullRequest {
    head: Branch,
    base: Branch,
    #[serde(default)]
    merged: Option<bool>,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    reference: String,
    sha: String,
}

pub(super) fn read(
    forge: Forge,
    event: &str,
    json: &[u8],
    delivery_id: String,
) -> Result<WebhookOutcome, String> {
    match event {
        "ping" => Ok(WebhookOutcome::Pong(forge)),
        "push" => push(forge, parse(json)?, delivery_id),
        "pull_request" | "pull_request_sync" => pull_request(forge, parse(json)?, delivery_id),
        other => Ok(WebhookOutcome::Ignored(format!(
            "Slipway does nothing on the event {other:?}"
        ))),
    }
}

fn push(forge: Forge, push: Push, delivery_id: String) -> Result<WebhookOutcome, String> {
    let reference = reference(&push.reference)?;
    let after = push.after.as_deref().unwrap_or_default();
    if push.deleted || is_zero(after) {
        return Ok(WebhookOutcome::Ignored(format!("{reference} was deleted")));
    }
    let kind = if reference.starts_with("refs/heads/") {
        PushKind::Push
    } else if reference.starts_with("refs/tags/") {
        PushKind::Tag
    } else {
        return Ok(WebhookOutcome::Ignored(format!(
            "{reference} is neither a branch nor a tag"
        )));
    };
    // For an annotated tag `after` is the tag itself; the commit is what it points at.
    let commit = match (&kind, &push.head_commit) {
        (PushKind::Tag, Some(commit)) => commit_id("head_commit.id", &commit.id)?,
        _ => commit_id("after", after)?,
    };
    let before = push.before.filter(|before| !is_zero(before));
    Ok(WebhookOutcome::Commit(Box::new(CommitPushed {
        delivery_id,
        forge,
        repository: repository("repository.clone_url", &push.repository.clone_url)?,
        full_name: push.repository.full_name,
        reference,
        commit,
        before: before
            .map(|before| commit_id("before", &before))
            .transpose()?,
        kind,
        default_branch: push.repository.default_branch,
        sender: push.sender.map(|sender| sender.login),
    })))
}

fn pull_request(
    forge: Forge,
    event: PullRequestEvent,
    delivery_id: String,
) -> Result<WebhookOutcome, String> {
    let PullRequestEvent {
        action,
        number,
        pull_request,
        repository: target,
        sender,
    } = event;
    let address = repository("repository.clone_url", &target.clone_url)?;
    match action.as_str() {
        // GitHub says "synchronize", Gitea "synchronized".
        "opened" | "reopened" | "synchronize" | "synchronized" => {
            Ok(WebhookOutcome::Commit(Box::new(CommitPushed {
                delivery_id,
                forge,
                repository: address,
                full_name: target.full_name,
                reference: format!("refs/pull/{number}/head"),
                commit: commit_id("pull_request.head.sha", &pull_request.head.sha)?,
                before: None,
                kind: PushKind::Proposal {
                    number,
                    target_branch: pull_request.base.reference,
                    head: pull_request.head.reference,
                },
                default_branch: target.default_branch,
                sender: sender.map(|sender| sender.login),
            })))
        }
        "closed" => Ok(WebhookOutcome::ProposalClosed(ProposalClosed {
            delivery_id,
            repository: address,
            number,
            merged: pull_request.merged.unwrap_or(false),
        })),
        other => Ok(WebhookOutcome::Ignored(format!(
            "pull request {number} was {other}: its commits are the same"
        ))),
    }
}
