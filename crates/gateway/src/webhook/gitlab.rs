//! Events of GitLab.

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
    after: String,
    checkout_sha: Option<String>,
    user_username: Option<String>,
    project: Project,
}

#[derive(Deserialize)]
struct Project {
    path_with_namespace: String,
    git_http_url: String,
    default_branch: Option<String>,
}

#[derive(Deserialize)]
struct MergeRequestEvent {
    user: Option<Person>,
    project: Project,
    object_attributes: MergeRequest,
}

#[derive(Deserialize)]
struct Person {
    username: String,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    action: Option<String>,
    /// Present when an update brought new commits.
    oldrev: Option<String>,
    source_branch: String,
    target_branch: String,
    last_commit: Option<Identified>,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

pub(super) fn read(
    event: &str,
    json: &[u8],
    delivery_id: String,
) -> Result<WebhookOutcome, String> {
    match event {
        "Push Hook" => push(parse(json)?, PushKind::Push, delivery_id),
        "Tag Push Hook" => push(parse(json)?, PushKind::Tag, delivery_id),
        "Merge Request Hook" => merge_request(parse(json)?, delivery_id),
        other => Ok(WebhookOutcome::Ignored(format!(
            "Slipway does nothing on the event {other:?}"
        ))),
    }
}

fn push(push: Push, kind: PushKind, delivery_id: String) -> Result<WebhookOutcome, String> {
    let reference = reference(&push.reference)?;
    if is_zero(&push.after) {
        return Ok(WebhookOutcome::Ignored(format!("{reference} was deleted")));
    }
    // For an annotated tag `after` is the tag itself; `checkout_sha` is always the commit.
    let commit = match &push.checkout_sha {
        Some(commit) => commit_id("checkout_sha", commit)?,
        None => commit_id("after", &push.after)?,
    };
    let before = push.before.filter(|before| !is_zero(before));
    Ok(WebhookOutcome::Commit(Box::new(CommitPushed {
        delivery_id,
        forge: Forge::GitLab,
        repository: repository("project.git_http_url", &push.project.git_http_url)?,
        full_name: push.project.path_with_namespace,
        reference,
        commit,
        before: before
            .map(|before| commit_id("before", &before))
            .transpose()?,
        kind,
        default_branch: push.project.default_branch,
        sender: push.user_username,
    })))
}

fn merge_request(event: MergeRequestEvent, delivery_id: String) -> Result<WebhookOutcome, String> {
    let MergeRequestEvent {
        user,
        project,
        object_attributes: request,
    } = event;
    let number = request.iid;
    let address = repository("project.git_http_url", &project.git_http_url)?;
    match request.action.as_deref().unwrap_or_default() {
        "open" | "reopen" => {}
        "update" if request.oldrev.is_some() => {}
        "update" => {
            return Ok(WebhookOutcome::Ignored(format!(
                "merge request {number} has no new commits"
            )));
        }
        action @ ("close" | "merge") => {
            let merged = action == "merge";
            return Ok(WebhookOutcome::ProposalClosed(ProposalClosed {
                delivery_id,
                repository: address,
                number,
                merged,
            }));
        }
        other => {
            let reason =
                format!("merge request {number}: Slipway does nothing on the action {other:?}");
            return Ok(WebhookOutcome::Ignored(reason));
        }
    }
    let commit = request
        .last_commit
        .ok_or("`object_attributes.last_commit` is missing")?;
    Ok(WebhookOutcome::Commit(Box::new(CommitPushed {
        delivery_id,
        forge: Forge::GitLab,
        repository: address,
        full_name: project.path_with_namespace,
        reference: format!("refs/merge-requests/{number}/head"),
        commit: commit_id("object_attributes.last_commit.id", &commit.id)?,
        before: request
            .oldrev
            .map(|before| commit_id("object_attributes.oldrev", &before))
            .transpose()?,
        kind: PushKind::Proposal {
            number,
            target_branch: request.target_branch,
            head: request.source_branch,
        },
        default_branch: project.default_branch,
        sender: user.map(|user| user.username),
    })))
}
