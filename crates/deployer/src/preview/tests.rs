use domain::rollout::Beginning;
use domain::spec::{Rolling, Strategy};
use serde_json::json;

use super::*;

fn object(change: ChangeKind, note: &str, conflict: &str) -> ObjectChange {
    ObjectChange {
        change: change.into(),
        kind: "Deployment".to_owned(),
        name: "shop".to_owned(),
        note: note.to_owned(),
        conflict: conflict.to_owned(),
        ..ObjectChange::default()
    }
}

#[test]
fn what_is_refused_stops_it_and_what_others_changed_only_if_it_may_not_be_overwritten() {
    let refused = object(ChangeKind::Refused, "spec.replicas: Invalid value", "");
    let held = object(
        ChangeKind::Changed,
        "",
        ".spec.replicas (conflict with \"kubectl\")",
    );
    let fine = object(ChangeKind::Changed, "its pods are replaced", "");
    let all = [refused, held, fine];
    let strict = obstacles(&all, false);
    assert_eq!(strict.len(), 2, "{strict:?}");
    assert_eq!(
        strict[0],
        "Deployment shop is refused: spec.replicas: Invalid value"
    );
    assert!(
        strict[1].contains(".spec.replicas") && strict[1].contains("undo that change"),
        "{strict:?}"
    );
    assert_eq!(obstacles(&all, true).len(), 1);
}

#[test]
fn secret_values_are_never_told_but_that_they_change_is() {
    let found = diff::differences(
        &json!({ "data": { "A": "YQ==", "B": "Yg==" } }),
        &json!({ "data": { "A": "YWE=" } }),
    );
    let fields = told(found, |path| path.starts_with("data"));
    let shown: Vec<_> = fields
        .iter()
        .map(|f| {
            (
                f.path.as_str(),
                f.is_secret,
                f.before.as_deref(),
                f.after.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("data.A", true, Some(""), Some("")),
            ("data.B", true, Some(""), None)
        ]
    );
}

#[test]
fn the_steps_say_how_many_replicas_go_at_a_time() {
    let deploy = Deploy {
        replicas: 4,
        ..Deploy::default()
    };
    let rolling = Strategy::Rolling(Rolling::default());
    let plan = Plan::compile(&rolling, Beginning::Older);
    assert_eq!(strategy(&plan), "rolling");
    let told = steps(&plan, &deploy);
    assert!(
        told.len() == 1 && told[0].starts_with("replace 4 replicas, with at most "),
        "{told:?}"
    );
    let first = Plan::compile(&rolling, Beginning::Nothing);
    assert_eq!(
        (strategy(&first), steps(&first, &deploy)),
        ("bring up", vec!["bring up 4 replicas".to_owned()])
    );
    let own = Deploy {
        manifests: Some("k8s".to_owned()),
        ..deploy
    };
    assert_eq!(steps(&plan, &own), ["as the manifests say"]);
}
