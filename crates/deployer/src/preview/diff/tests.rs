use proptest::prelude::*;
use serde_json::json;

use super::*;

fn lines(before: &Json, after: &Json) -> Vec<String> {
    let side = |value: &Option<Json>| value.as_ref().map_or("(none)".to_owned(), words);
    differences(before, after)
        .iter()
        .map(|d| format!("{}: {} → {}", d.path, side(&d.before), side(&d.after)))
        .collect()
}

#[test]
fn only_what_differs_is_told_value_by_value() {
    let before = json!({ "spec": { "replicas": 2, "paused": true, "same": { "a": [1] } } });
    let after =
        json!({ "spec": { "replicas": 3, "same": { "a": [1] }, "limits": { "cpu": "1" } } });
    assert_eq!(
        lines(&before, &after),
        [
            "spec.limits.cpu: (none) → 1",
            "spec.paused: true → (none)",
            "spec.replicas: 2 → 3"
        ]
    );
    assert_eq!(lines(&before, &before), Vec::<String>::new());
}

#[test]
fn elements_of_lists_are_compared_by_their_names() {
    let container = |name: &str, image: &str| json!({ "name": name, "image": image });
    let before = json!({ "containers": [container("shop", "shop:1"), container("old", "old:1")] });
    let after = json!({ "containers": [container("new", "new:1"), container("shop", "shop:2")] });
    assert_eq!(
        lines(&before, &after),
        [
            "containers[shop].image: shop:1 → shop:2",
            "containers[old].image: old:1 → (none)",
            "containers[old].name: old → (none)",
            "containers[new].image: (none) → new:1",
            "containers[new].name: (none) → new",
        ]
    );
    // Two mounts of one volume.
    let mount = |path: &str, read_only: bool| json!({ "name": "files", "mountPath": path, "readOnly": read_only });
    assert_eq!(
        lines(
            &json!([mount("/a", true), mount("/b", true)]),
            &json!([mount("/a", true), mount("/b", false)])
        ),
        ["[/b].readOnly: true → false"]
    );
}

#[test]
fn lists_of_values_are_told_as_a_whole_and_another_order_is_a_difference() {
    assert_eq!(
        lines(
            &json!({ "command": ["a", "b"] }),
            &json!({ "command": ["a"] })
        ),
        [r#"command: ["a","b"] → ["a"]"#]
    );
    let (a, b) = (json!({ "name": "a" }), json!({ "name": "b" }));
    assert_eq!(
        lines(&json!({ "init": [a, b] }), &json!({ "init": [b, a] })),
        [r#"init: ["a","b"] → ["b","a"]"#]
    );
    let (one, two) = (json!([{ "x": [1] }]), json!([{ "x": [1] }, { "x": [2] }]));
    assert_eq!(lines(&one, &two), ["[1].x: (none) → [2]"]);
}

#[test]
fn a_name_with_dots_stands_in_brackets() {
    let labels = |version: &str| json!({ "labels": { "app.kubernetes.io/version": version } });
    assert_eq!(
        lines(&labels("1"), &labels("2")),
        ["labels[app.kubernetes.io/version]: 1 → 2"]
    );
}

#[test]
fn what_is_empty_and_comes_or_goes_is_told() {
    assert_eq!(
        lines(&json!({}), &json!({ "emptyDir": {}, "list": [] })),
        ["emptyDir: (none) → {}", "list: (none) → []"]
    );
    assert_eq!(
        lines(&json!({ "a": {} }), &json!({ "a": 1 })),
        ["a: {} → 1"]
    );
}

fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0..3_u8).prop_map(Json::from),
        "[a-c]{0,2}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("(name|port|[a-c.]{1,2})", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn documents_differ_exactly_where_something_is_told(before in document(), after in document()) {
        let found = differences(&before, &after);
        prop_assert_eq!(found.is_empty(), before == after);
        for difference in &found {
            prop_assert!(difference.before != difference.after, "{difference:?}");
        }
        // The other way round it is the same, turned.
        prop_assert_eq!(differences(&after, &before).len(), found.len());
    }
}
