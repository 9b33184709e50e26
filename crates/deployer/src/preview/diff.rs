//! What differs between two documents, field by field. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

/// What names an element of a list, where the elements are objects: the first of these that tells all of them apart.
const NAMES: [&str; 7] = [
    "name",
    "mountPath",
    "containerPort",
    "port",
    "key",
    "type",
    "topologyKey",
];

/// A field that is not the same in both.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    /// Such as `spec.template.spec.containers[shop].image`.
    pub(crate) path: String,
    /// `None`: it is not there.
    pub(crate) before: Option<Json>,
    pub(crate) after: Option<Json>,
}

/// The fields in which two documents differ, down to single values. Elements of lists are compared by their names, as
/// far as they have some.
pub(crate) fn differences(before: &Json, after: &Json) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

/// A value as people read it: text as it is, anything else as JSON.
pub(crate) fn words(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn compare(path: &str, before: Option<&Json>, after: Option<&Json>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Json::Object(before)), Some(Json::Object(after))) => {
            fields(path, before, after, found);
        }
        (Some(Json::Array(before)), Some(Json::Array(after))) => {
            elements(path, before, after, found);
        }
        // All that comes, or goes, is told value by value.
        (None, Some(Json::Object(after))) if !after.is_empty() => {
            fields(path, &Map::new(), after, found);
        }
        (Some(Json::Object(before)), None) if !before.is_empty() => {
            fields(path, before, &Map::new(), found);
        }
        (None, Some(Json::Array(after))) if has_objects(after) => {
            elements(path, &[], after, found);
        }
        (Some(Json::Array(before)), None) if has_objects(before) => {
            elements(path, before, &[], found);
        }
        _ => found.push(Difference {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn fields(
    path: &str,
    before: &Map<String, Json>,
    after: &Map<String, Json>,
    found: &mut Vec<Difference>,
) {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        compare(&below(path, name), before.get(name), after.get(name), found);
    }
}

fn elements(path: &str, before: &[Json], after: &[Json], found: &mut Vec<Difference>) {
    let whole = || Difference {
        path: path.to_owned(),
        before: Some(Json::Array(before.to_vec())),
        after: Some(Json::Array(after.to_vec())),
    };
    if !has_objects(before) && !has_objects(after) {
        found.push(whole());
        return;
    }
    let named = NAMES
        .iter()
        .find_map(|field| Some((names(before, field)?, names(after, field)?)));
    let Some((old, new)) = named else {
        for index in 0..before.len().max(after.len()) {
            let path = format!("{path}[{index}]");
            compare(&path, before.get(index), after.get(index), found);
        }
        return;
    };
    let many = found.len();
    let come = new.iter().filter(|name| !old.contains(name));
    for name in old.iter().chain(come) {
        let of = |names: &[String], list: &[Json]| {
            let index = names.iter().position(|own| own == name)?;
            list.get(index).cloned()
        };
        let path = format!("{path}[{name}]");
        let (before, after) = (of(&old, before), of(&new, after));
        compare(&path, before.as_ref(), after.as_ref(), found);
    }
    // The same elements in another order.
    if found.len() == many {
        found.push(Difference {
            path: path.to_owned(),
            before: Some(old.into()),
            after: Some(new.into()),
        });
    }
}

fn has_objects(list: &[Json]) -> bool {
    list.iter().any(Json::is_object)
}

/// What `field` says in each element, if it tells them apart.
fn names(list: &[Json], field: &str) -> Option<Vec<String>> {
    let names: Option<Vec<String>> = list
        .iter()
        .map(|element| match element.get(field)? {
            name @ (Json::String(_) | Json::Number(_)) => Some(words(name)),
            _ => None,
        })
        .collect();
    names.filter(|names| names.iter().collect::<BTreeSet<_>>().len() == names.len())
}

/// The path of a field; a name with signs of its own stands in brackets.
fn below(path: &str, name: &str) -> String {
    let is_plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'));
    match (path.is_empty(), is_plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{name}]"),
    }
}

#[cfg(test)]
mod tests;
