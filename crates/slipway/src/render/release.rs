//! Releases for people.

use proto::gateway::v1::Release;

use super::run::short_id;
use super::table::table;
use super::{Page, duration};

/// The releases as `release list` prints them.
#[must_use]
pub fn list(releases: &[Release], page: &Page) -> String {
    if releases.is_empty() {
        return "Nothing was released yet. A run that ends with `promote` makes a release."
            .to_owned();
    }
    let row = |release: &Release| {
        vec![
            page.paint.strong(&release.service),
            release.version.clone(),
            short_digest(&release.image_digest),
            standing(release, page),
            release.environments.join(", "),
            short_id(&release.run_id).to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = releases.iter().map(row).collect();
    table(
        &["SERVICE", "VERSION", "DIGEST", "RELEASED", "RUNS IN", "RUN"],
        &rows,
        page,
    )
}

/// One release as `release show` prints it.
#[must_use]
pub fn show(release: &Release, page: &Page) -> String {
    let title = page
        .paint
        .strong(&format!("{} {}", release.service, release.version));
    let mut lines = vec![format!("{title} · {}", standing(release, page))];
    let mut fact = |name: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!(
                "  {} {text}",
                page.paint.dim(&format!("{name:<11}"))
            ));
        }
    };
    let image = format!("{}@{}", release.repository, release.image_digest);
    fact(
        "image",
        if release.repository.is_empty() {
            &release.image_digest
        } else {
            &image
        },
    );
    fact("commit", &release.commit);
    fact("run", &release.run_id);
    fact("runs in", &release.environments.join(", "));
    for candidate in &release.candidates {
        let when = duration::ago(candidate.published_at.as_ref(), page.now);
        let (digest, run) = (
            short_digest(&candidate.image_digest),
            short_id(&candidate.run_id),
        );
        let runs_in = match candidate.environments.join(", ") {
            none if none.is_empty() => none,
            places => format!("  runs in {places}"),
        };
        fact(
            "candidate",
            &format!("{}  {digest}  run {run}  {when}{runs_in}", candidate.tag),
        );
    }
    lines.join("\n")
}

fn standing(release: &Release, page: &Page) -> String {
    if release.released_at.is_some() {
        page.paint.good(&format!(
            "released {}",
            duration::ago(release.released_at.as_ref(), page.now)
        ))
    } else {
        page.paint.dim("candidate")
    }
}

/// The first 12 digits of a digest.
pub(super) fn short_digest(digest: &str) -> String {
    digest
        .strip_prefix("sha256:")
        .unwrap_or(digest)
        .chars()
        .take(12)
        .collect()
}
