//! The parsers hold on every text, and what is written reads back.

#[path = "property/invariants.rs"]
mod invariants;
#[path = "property/services.rs"]
mod services;

use domain::spec;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("example.yaml");
const FULL: &str = include_str!("full.yaml");
const PLATFORM: &str = include_str!("platform.yaml");

/// One change of a text.
#[derive(Debug, Clone)]
enum Edit {
    Insert(usize, String),
    Remove(usize, usize),
    Copy(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let piece = prop::sample::select(vec![
        "\t", "\n", " ", ":", ": ", "- ", "[", "]", "{", "}", "'", "\"", "#", "&a ", "*a", "!",
        "|\n", ">\n", "%", "0", "-1", "~", "no", "é", "\u{feff}", "\0", "\r\n", "---\n", "<<: ",
        "? ",
    ]);
    prop_oneof![
        (any::<usize>(), piece).prop_map(|(at, piece)| Edit::Insert(at, piece.to_owned())),
        (any::<usize>(), 1..40_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (any::<usize>(), 1..60_usize, any::<usize>())
            .prop_map(|(from, length, to)| Edit::Copy(from, length, to)),
    ]
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for edit in edits {
        let place = |at: usize| at % (chars.len() + 1);
        match edit {
            Edit::Insert(at, piece) => {
                let at = place(*at);
                chars.splice(at..at, piece.chars());
            }
            Edit::Remove(at, length) => {
                let at = place(*at);
                chars.drain(at..chars.len().min(at + length));
            }
            Edit::Copy(from, length, to) => {
                let (from, to) = (place(*from), place(*to));
                let copied = chars[from..chars.len().min(from + length)].to_vec();
                chars.splice(to..to, copied);
            }
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused_with_a_reason(text in any::<String>()) {
        invariants::service(&text);
        invariants::organisation(&text);
    }

    #[test]
    fn anything_like_yaml_is_read_or_refused_with_a_reason(
        text in "(service|deploy|build|image|run|env|test|a|b)?(:|: |\\? |- |\n|\n  |\\[|\\]|\\{|\\}|,|\"|'|&x |\\*x|!t |#|\\||\t|é|0x1F|1e3|no){0,30}(service: a)?"
    ) {
        invariants::service(&text);
        invariants::organisation(&text);
    }

    #[test]
    fn a_damaged_service_file_is_read_or_refused_with_a_reason(
        base in prop::sample::select(vec![EXAMPLE, FULL]),
        edits in prop::collection::vec(edit(), 1..6),
    ) {
        invariants::service(&apply(base, &edits));
    }

    #[test]
    fn a_damaged_platform_file_is_read_or_refused_with_a_reason(edits in prop::collection::vec(edit(), 1..6)) {
        invariants::organisation(&apply(PLATFORM, &edits));
    }

    #[test]
    fn what_is_written_reads_back(service in services::service()) {
        let json = serde_json::to_string(&service).unwrap();
        prop_assert_eq!(&serde_json::from_str::<spec::ServiceSpec>(&json).unwrap(), &service);
        let yaml = serde_saphyr::to_string(&service).unwrap();
        let read = spec::parse("slipway.yaml", &yaml).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
        prop_assert_eq!(read, service);
    }
}

#[test]
fn the_files_of_the_other_tests_hold() {
    for text in [EXAMPLE, FULL] {
        invariants::service(text);
    }
    invariants::organisation(PLATFORM);
}
