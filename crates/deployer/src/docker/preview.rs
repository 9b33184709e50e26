//! What a rollout would change on the machine's engine: what runs now beside what would.

use container_stage::naming::role;
use engine::labels;
use engine::{ContainerInfo, ContainerState};
use proto::preview::v1::{ChangeKind, ObjectChange};
use serde_json::{Value as Json, json};

use super::{Docker, names, replicas};
use crate::error::TargetError;
use crate::preview::diff::differences;
use crate::preview::told;
use crate::wanted::Wanted;

/// What bringing the version in would do with replicas and edge. `before` is what was brought in last, as far as that
/// is known.
pub(crate) async fn preview(
    docker: &Docker,
    wanted: &Wanted,
    before: Option<&Wanted>,
) -> Result<Vec<ObjectChange>, TargetError> {
    let there = docker.containers(wanted, role::REPLICA).await?;
    let edges = docker.containers(wanted, role::EDGE).await?;
    let entrance = match super::Entrance::of(&wanted.deploy, &[]) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let mut replicas = of_replicas(&there, wanted, before);
    if !entrance.is_empty() {
        replicas.set_change(ChangeKind::Refused);
        replicas.note = entrance;
    }
    let has_edge = edges.iter().any(ContainerInfo::is_running);
    let edge = ObjectChange {
        change: match has_edge {
            true => ChangeKind::Unchanged,
            false => ChangeKind::Created,
        }
        .into(),
        kind: "edge".to_owned(),
        name: names::edge(wanted),
        ..ObjectChange::default()
    };
    Ok(vec![edge, replicas])
}

/// What becomes of the replicas. Pure.
fn of_replicas(there: &[ContainerInfo], wanted: &Wanted, before: Option<&Wanted>) -> ObjectChange {
    let key = wanted.key();
    let stays = |container: &&ContainerInfo| {
        let is_up = !matches!(
            container.state,
            ContainerState::Exited { .. } | ContainerState::Created
        );
        replicas::is_of(container, &key) && is_up
    };
    let number = usize::try_from(wanted.deploy.replicas.max(1)).unwrap_or(usize::MAX);
    let stay = there.iter().filter(stays).count().min(number);
    let (start, remove) = (number - stay, there.len() - stay);
    let seen = before.map_or_else(|| labelled(there), settings);
    let found = differences(&seen, &settings(wanted));
    let change = match (there.is_empty(), found.is_empty() && start + remove == 0) {
        (true, _) => ChangeKind::Created,
        (false, true) => ChangeKind::Unchanged,
        (false, false) => ChangeKind::Changed,
    };
    let fields = match (change, before) {
        // Of what runs without a known configuration only the image can be compared.
        (ChangeKind::Changed, None) => found
            .into_iter()
            .filter(|d| !d.path.starts_with("deploy"))
            .collect(),
        (ChangeKind::Changed, Some(_)) => found,
        _ => Vec::new(),
    };
    let mut notes = vec![counted(start, remove, stay)];
    if before.is_none() && change == ChangeKind::Changed {
        notes.push("how what runs now is configured is not known any more".to_owned());
    }
    ObjectChange {
        change: change.into(),
        kind: "replicas".to_owned(),
        name: wanted.service.to_string(),
        fields: told(fields, |_| false),
        note: notes.join("; "),
        ..ObjectChange::default()
    }
}

/// `2 would be started, 2 removed`.
fn counted(start: usize, remove: usize, stay: usize) -> String {
    let part = |count: usize, words: &str| (count > 0).then(|| format!("{count} {words}"));
    let parts: Vec<String> = [
        part(start, "would be started"),
        part(remove, "would be removed"),
        part(stay, "would stay as they are"),
    ]
    .into_iter()
    .flatten()
    .collect();
    parts.join(", ")
}

/// What tells one version and configuration from another, as people write it, and how many replicas there are: of
/// `deploy`, what a replica feels. Secrets are references there, not values.
fn settings(wanted: &Wanted) -> Json {
    let mut deploy = serde_json::to_value(&wanted.deploy).unwrap_or_default();
    if let Some(fields) = deploy.as_object_mut() {
        // None of it is in the key, either.
        for not_felt in ["strategy", "drain", "deadline", "manifests"] {
            fields.remove(not_felt);
        }
    }
    json!({
        "version": wanted.version,
        "image": { "repository": wanted.repository, "digest": wanted.digest.as_str() },
        "deploy": deploy,
    })
}

/// The same, as far as containers tell.
fn labelled(there: &[ContainerInfo]) -> Json {
    let Some(container) = there.first() else {
        return json!({});
    };
    let label = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
    let image = container.image.split_once('@');
    let repository = image.map_or(container.image.as_str(), |(repository, _)| repository);
    json!({
        "version": label(labels::VERSION),
        "image": { "repository": repository, "digest": label(labels::DIGEST) },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::spec::{Deploy, EnvValue};

    use super::*;

    fn wanted(version: &str, digit: char, deploy: Deploy) -> Wanted {
        Wanted {
            service: "shop".parse().unwrap(),
            environment: "test".parse().unwrap(),
            version: version.to_owned(),
            run: "r1".parse().unwrap(),
            origin: "r1".parse().unwrap(),
            part_of: None,
            repository: "r/shop".to_owned(),
            digest: format!("sha256:{}", digit.to_string().repeat(64))
                .parse()
                .unwrap(),
            deploy,
            address: None,
            returns: false,
            overwrites: false,
        }
    }

    fn deploy(replicas: u32, level: &str) -> Deploy {
        let mut deploy = Deploy {
            replicas,
            ..Deploy::default()
        };
        let secret: EnvValue = serde_json::from_value(json!({ "secret": "env:SHOP_KEY" })).unwrap();
        deploy.env.insert("KEY".to_owned(), secret);
        deploy
            .env
            .insert("LEVEL".to_owned(), EnvValue::Text(level.to_owned()));
        deploy
    }

    fn container(of: &Wanted, state: ContainerState) -> ContainerInfo {
        ContainerInfo {
            id: "c".to_owned().into(),
            name: "c".to_owned(),
            image: of.image(),
            labels: labels::of([
                (labels::VERSION, of.version.as_str()),
                (labels::DIGEST, of.digest.as_str()),
                (labels::ROLLOUT, &of.key()),
            ]),
            state,
            health: engine::Health::None,
            addresses: BTreeMap::default(),
            ports: Vec::new(),
            started_at: None,
            restarts: 0,
        }
    }

    fn lines(change: &ObjectChange) -> Vec<String> {
        let side = |value: &Option<String>| value.clone().unwrap_or("(none)".to_owned());
        let of = |f: &proto::preview::v1::FieldChange| {
            format!("{}: {} → {}", f.path, side(&f.before), side(&f.after))
        };
        change.fields.iter().map(of).collect()
    }

    #[test]
    fn another_configuration_replaces_every_replica_and_is_told_by_name() {
        let (old, new) = (
            wanted("1.0.0", 'a', deploy(2, "debug")),
            wanted("1.1.0", 'a', deploy(3, "info")),
        );
        let there = [(); 2].map(|()| container(&old, ContainerState::Running));
        let change = of_replicas(&there, &new, Some(&old));
        assert_eq!(change.change(), ChangeKind::Changed);
        assert_eq!(
            lines(&change),
            [
                "deploy.env.LEVEL: debug → info",
                "deploy.replicas: 2 → 3",
                "version: 1.0.0 → 1.1.0"
            ]
        );
        assert_eq!(change.note, "3 would be started, 2 would be removed");
    }

    #[test]
    fn scaling_restarts_nothing_and_the_same_again_changes_nothing() {
        let (old, new) = (
            wanted("1.0.0", 'a', deploy(2, "debug")),
            wanted("1.0.0", 'a', deploy(3, "debug")),
        );
        let there = [(); 2].map(|()| container(&old, ContainerState::Running));
        let change = of_replicas(&there, &new, Some(&old));
        assert_eq!(change.note, "1 would be started, 2 would stay as they are");
        let same = of_replicas(&there, &old, Some(&old));
        assert_eq!(
            (same.change(), same.note.as_str()),
            (ChangeKind::Unchanged, "2 would stay as they are")
        );
        let exited = ContainerState::Exited {
            code: 1,
            out_of_memory: false,
        };
        let broken = [
            container(&old, ContainerState::Running),
            container(&old, exited),
        ];
        let again = of_replicas(&broken, &old, Some(&old));
        assert_eq!(again.change(), ChangeKind::Changed);
        assert_eq!(
            again.note,
            "1 would be started, 1 would be removed, 1 would stay as they are"
        );
    }

    #[test]
    fn how_a_version_is_brought_in_is_no_change_of_the_replicas() {
        let old = wanted("1.0.0", 'a', deploy(2, "debug"));
        let there = [(); 2].map(|()| container(&old, ContainerState::Running));
        let new = wanted(
            "1.0.0",
            'a',
            Deploy {
                strategy: serde_json::from_value(json!({ "canary": { "steps": ["50%", "100%"] } }))
                    .unwrap(),
                drain: Some("3s".parse().unwrap()),
                deadline: Some("5m".parse().unwrap()),
                ..deploy(2, "debug")
            },
        );
        let change = of_replicas(&there, &new, Some(&old));
        assert_eq!(
            change.change(),
            ChangeKind::Unchanged,
            "{:?}",
            lines(&change)
        );
    }

    #[test]
    fn of_a_version_that_is_not_known_any_more_the_image_is_compared() {
        let (old, new) = (
            wanted("1.0.0", 'a', deploy(1, "")),
            wanted("1.1.0", 'b', deploy(1, "")),
        );
        let there = [container(&old, ContainerState::Running)];
        let change = of_replicas(&there, &new, None);
        let told = lines(&change);
        assert!(
            told.len() == 2 && told[0].starts_with("image.digest: sha256:aa"),
            "{told:?}"
        );
        assert!(
            change.note.contains("not known any more"),
            "{}",
            change.note
        );
        let first = of_replicas(&[], &new, None);
        assert_eq!(
            (first.change(), lines(&first).len()),
            (ChangeKind::Created, 0)
        );
    }
}
