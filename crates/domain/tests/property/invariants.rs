//! What holds for every text, right or wrong. Shared by the property tests and the fuzz targets.

use domain::diagnostic::Diagnostics;
use domain::platform;
use domain::spec;

/// Reads a text as `slipway.yaml` and checks what must hold.
pub(crate) fn service(text: &str) {
    match spec::lint("slipway.yaml", text) {
        (Some(spec), diagnostics) => {
            assert!(!diagnostics.has_errors());
            told_well(text, &diagnostics);
            let json = serde_json::to_string(&spec).expect("a specification has a JSON form");
            assert_eq!(
                serde_json::from_str::<spec::ServiceSpec>(&json).expect("which reads back"),
                spec
            );
            assert_eq!(spec::parse("kept.json", &json).expect("also as YAML"), spec);
            told_well(
                text,
                &spec::check_files("slipway.yaml", text, &spec, |_| false),
            );
            told_well(
                text,
                &spec::check_needs(&[("slipway.yaml".to_owned(), text.to_owned(), spec)]),
            );
        }
        (None, diagnostics) => {
            assert!(diagnostics.has_errors(), "what is refused has a reason");
            told_well(text, &diagnostics);
        }
    }
}

/// Reads a text as `platform.yaml` and checks what must hold.
pub(crate) fn organisation(text: &str) {
    match platform::lint("platform.yaml", text) {
        (Some(platform), diagnostics) => {
            assert!(!diagnostics.has_errors());
            let json = serde_json::to_string(&platform).expect("a platform has a JSON form");
            assert_eq!(
                platform::parse("kept.json", &json).expect("which is also YAML"),
                platform
            );
        }
        (None, diagnostics) => {
            assert!(diagnostics.has_errors(), "what is refused has a reason");
            told_well(text, &diagnostics);
        }
    }
}

/// Each place is in the text, on one line, and its line and column lead to it.
fn told_well(text: &str, diagnostics: &Diagnostics) {
    for found in diagnostics {
        let offending = text
            .get(found.span.clone())
            .expect("the place is in the text");
        assert!(
            !offending.contains('\n'),
            "{offending:?} is more than a line"
        );
        let line = text
            .split('\n')
            .nth(found.line - 1)
            .expect("there is such a line");
        assert!(found.column <= line.chars().count() + 1, "{found:?}");
        let rest: String = line.chars().skip(found.column - 1).collect();
        assert!(rest.starts_with(offending), "{found:?} leads to {rest:?}");
        assert!(!found.message.is_empty());
        if let Some(related) = &found.related {
            assert!(
                text.get(related.span.clone()).is_some(),
                "the related place is in the text"
            );
        }
    }
    assert_eq!(diagnostics.is_empty(), diagnostics.render(false).is_empty());
    assert_eq!(diagnostics.is_empty(), diagnostics.render(true).is_empty());
}
