//! "Did you mean": names that look like one that does not exist.

/// At most three of the names, best first.
pub(crate) fn similar<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = short(wanted).to_lowercase();
    let mut scored: Vec<(f64, &str)> = names
        .into_iter()
        .map(short)
        .map(|name| (likeness(&wanted, &name.to_lowercase()), name))
        .filter(|(score, _)| *score >= 0.75)
        .collect();
    scored.sort_by(|(left, left_name), (right, right_name)| {
        right.total_cmp(left).then(left_name.cmp(right_name))
    });
    scored.dedup_by(|left, right| left.1 == right.1);
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

fn likeness(wanted: &str, name: &str) -> f64 {
    let is_part = |whole: &str, part: &str| part.len() >= 3 && whole.contains(part);
    if wanted == name {
        1.0
    } else if is_part(name, wanted) || is_part(wanted, name) || is_usual_pair(wanted, name) {
        0.9
    } else {
        strsim::normalized_damerau_levenshtein(wanted, name)
            .max(strsim::jaro_winkler(wanted, name) - 0.1)
    }
}

/// The default branches that people take for each other.
fn is_usual_pair(wanted: &str, name: &str) -> bool {
    let usual = ["main", "master", "trunk", "develop"];
    usual.contains(&wanted) && matches!(name, "main" | "master" | "trunk")
}

fn short(name: &str) -> &str {
    let name = name.strip_prefix("refs/").unwrap_or(name);
    ["heads/", "tags/"]
        .iter()
        .find_map(|kind| name.strip_prefix(kind))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = [
        "refs/heads/main",
        "refs/heads/feature/login",
        "refs/heads/release",
        "refs/tags/v1.4.0",
        "refs/tags/v1.4.1",
    ];

    #[test]
    fn near_names_are_found_best_first() {
        assert_eq!(similar("mian", NAMES), ["main"]);
        assert_eq!(similar("master", NAMES), ["main"]);
        assert_eq!(similar("refs/heads/login", NAMES), ["feature/login"]);
        assert_eq!(similar("v1.4", NAMES), ["v1.4.0", "v1.4.1"]);
        assert_eq!(similar("V1.4.1", NAMES)[0], "v1.4.1");
        assert!(similar("zzzzzzzz", NAMES).is_empty());
    }
}
