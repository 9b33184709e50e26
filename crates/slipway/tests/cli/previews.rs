//! `--dry-run`: what would change, for people and scripts, and with which exit code.

use proto::preview::v1::{ChangeKind, DeploymentPreview, FieldChange, ObjectChange};
use serde_json::Value;

use crate::fake_gateway::FakeGateway;
use crate::program::Program;
use crate::samples::DIGEST;

fn field(path: &str, before: Option<&str>, after: Option<&str>) -> FieldChange {
    FieldChange {
        path: path.into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
        is_secret: path.starts_with("data.PASSWORD"),
    }
}

fn object(change: ChangeKind, kind: &str, name: &str, fields: Vec<FieldChange>) -> ObjectChange {
    ObjectChange {
        change: change.into(),
        kind: kind.into(),
        name: name.into(),
        api_version: "v1".into(),
        fields,
        ..ObjectChange::default()
    }
}

/// 1.4.0 comes after 1.3.2; 1.5.0 would stop; 1.3.2 is there already.
pub(crate) fn preview(version: &str) -> DeploymentPreview {
    let image = |digit: char| {
        format!(
            "127.0.0.1:5001/delivery@sha256:{}",
            digit.to_string().repeat(64)
        )
    };
    let (old, new) = (image('1'), image('2'));
    let file = |level: &str| format!("[log]\nlevel = {level}\n[http]\nport = 80\n");
    let (before, after) = (file("debug\ncolour = no"), file("\u{1b}[31minfo"));
    let container = "spec.template.spec.containers[delivery]";
    let deployment = ObjectChange {
        note: "its pods are replaced".into(),
        ..object(
            ChangeKind::Changed,
            "Deployment",
            "delivery",
            vec![
                field("spec.replicas", Some("2"), Some("3")),
                field(&format!("{container}.image"), Some(&old), Some(&new)),
                field(&format!("{container}.command"), None, Some(r#"["serve"]"#)),
            ],
        )
    };
    let renamed = |object: ObjectChange, before: &str| ObjectChange {
        instead_of: before.into(),
        ..object
    };
    let mut preview = DeploymentPreview {
        service: "delivery".into(),
        environment: "production".into(),
        target: "kubernetes".into(),
        place: "shop".into(),
        version: version.into(),
        image_digest: DIGEST.into(),
        current_version: "1.3.2".into(),
        current_image_digest: format!("sha256:{}", "1".repeat(64)),
        strategy: "canary".into(),
        steps: ["5 %", "bake 2m", "100 %", "retire"].map(Into::into).into(),
        stages: ["approve:production", "promote", "deploy:production"]
            .map(Into::into)
            .into(),
        objects: vec![
            renamed(
                object(
                    ChangeKind::Created,
                    "ConfigMap",
                    "delivery-env-2222222222",
                    vec![field("data[log.toml]", Some(&before), Some(&after))],
                ),
                "delivery-env-1111111111",
            ),
            renamed(
                object(
                    ChangeKind::Created,
                    "Secret",
                    "delivery-env-4444444444",
                    vec![field("data.PASSWORD", Some(""), Some(""))],
                ),
                "delivery-env-3333333333",
            ),
            object(ChangeKind::Unchanged, "Service", "delivery", Vec::new()),
            deployment,
            object(
                ChangeKind::Removed,
                "PodDisruptionBudget",
                "delivery",
                Vec::new(),
            ),
        ],
        obstacles: Vec::new(),
        notes: vec!["2 people must agree before it begins (approve:production)".into()],
    };
    match version {
        "1.3.2" => {
            preview
                .image_digest
                .clone_from(&preview.current_image_digest);
            preview.objects = vec![object(
                ChangeKind::Unchanged,
                "Service",
                "delivery",
                Vec::new(),
            )];
            preview.notes.clear();
        }
        "1.5.0" => {
            preview.objects[3].conflict = r#".spec.replicas (conflict with "kubectl-edit")"#.into();
            let why = "spec.rules[0].host: Invalid value: \"a b\"";
            preview.objects.push(ObjectChange {
                note: why.into(),
                ..object(ChangeKind::Refused, "Ingress", "delivery", Vec::new())
            });
            preview.obstacles = vec![
                "Deployment delivery was changed by somebody else: .spec.replicas; undo that change".into(),
                format!("Ingress delivery is refused: {why}"),
            ];
        }
        _ => {}
    }
    preview
}

#[tokio::test]
async fn a_dry_run_shows_what_would_change_and_starts_nothing() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let program = Program::of(&gateway);
    let shown = program
        .ok(&[
            "deploy",
            "delivery",
            "1.4.0",
            "--to",
            "production",
            "--dry-run",
        ])
        .await;
    insta::assert_snapshot!(shown);
    let back = program
        .ok(&["rollback", "delivery", "--in", "production", "--dry-run"])
        .await;
    assert!(back.contains("Nothing would change."), "{back}");
    assert!(!back.contains("Do it:"), "{back}");
    let asked = gateway.asked().join("\n");
    assert!(
        asked.contains("DeployRequest") && asked.contains("RollbackRequest"),
        "{asked}"
    );
}

#[tokio::test]
async fn what_would_stop_it_is_shown_and_the_exit_code_says_so() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let ended = Program::of(&gateway)
        .run(&[
            "deploy",
            "delivery",
            "1.5.0",
            "--to",
            "production",
            "--dry-run",
        ])
        .await;
    assert_eq!((ended.code, ended.err.as_str()), (1, ""));
    insta::assert_snapshot!(ended.out);
}

#[tokio::test]
async fn scripts_get_every_object_and_field() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let ended = Program::of(&gateway)
        .run(&[
            "deploy",
            "delivery",
            "1.5.0",
            "--to",
            "production",
            "--dry-run",
            "-o",
            "json",
        ])
        .await;
    assert_eq!(ended.code, 1);
    insta::assert_json_snapshot!(serde_json::from_str::<Value>(&ended.out).unwrap());
}

#[tokio::test]
async fn waiting_for_a_dry_run_is_a_wrong_command_line() {
    let ended = Program::alone()
        .run(&[
            "deploy",
            "delivery",
            "1.4.0",
            "--to",
            "test",
            "--dry-run",
            "--wait",
        ])
        .await;
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("'--wait'"), "{}", ended.err);
}

#[tokio::test]
async fn what_is_there_needs_no_version_where_changes_are_overwritten() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let program = Program::of(&gateway);
    let command = ["deploy", "delivery", "--to", "test", "--dry-run"];
    let ended = program.run(&command).await;
    assert_eq!(ended.code, 2, "{}", ended.err);
    let shown = program
        .ok(&[command.as_slice(), &["--overwrite-changes"]].concat())
        .await;
    let command = "Do it: slipway deploy delivery --to test --overwrite-changes";
    assert!(shown.contains(command), "{shown}");
    let asked = gateway.asked().join("\n");
    assert!(
        asked.contains(r#"version: "", environment: "test""#),
        "{asked}"
    );
    assert!(asked.contains("overwrite_changes: true"), "{asked}");
}
