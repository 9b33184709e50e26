use proptest::prelude::*;

use super::*;

fn holds(text: &str, value: &[f64]) -> Result<bool, Unanswered> {
    text.parse::<Condition>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .holds(value)
}

#[test]
fn comparisons_mean_what_they_say() {
    for (text, value, expected) in [
        ("result < 1", 0.5, true),
        ("result < 1", 1.0, false),
        ("result <= 1", 1.0, true),
        ("result > -1.5e3", 0.0, true),
        ("result >= .5", 0.5, true),
        ("result == 0", 0.0, true),
        ("result != 0", 0.0, false),
        ("0.95<=result", 0.94, false),
        ("result[0] == true", 1.0, true),
        ("result == false", 0.0, true),
        ("result < 10", f64::INFINITY, false),
    ] {
        assert_eq!(holds(text, &[value]), Ok(expected), "{text} of {value}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tighter_than_both() {
    assert_eq!(
        holds("result == 1 || result == 2 && result == 3", &[1.0]),
        Ok(true)
    );
    assert_eq!(
        holds("(result == 1 || result == 2) && result == 3", &[1.0]),
        Ok(false)
    );
    assert_eq!(holds("!result == 1 || result == 1", &[1.0]), Ok(true));
    assert_eq!(holds("!(result == 1 || result == 2)", &[1.0]), Ok(false));
    assert_eq!(holds("!!(result == 1)", &[1.0]), Ok(true));
}

#[test]
fn several_values_are_asked_for_one_by_one() {
    assert_eq!(holds("result[0] < result[1]", &[1.0, 2.0]), Ok(true));
    assert_eq!(
        holds("result < 1", &[1.0, 2.0]),
        Err(Unanswered::Ambiguous { length: 2 })
    );
    assert_eq!(
        holds("result[2] < 1", &[1.0, 2.0]),
        Err(Unanswered::OutOfRange {
            index: 2,
            length: 2
        })
    );
    assert_eq!(holds("result[0] < 3 || result[9] < 1", &[1.0]), Ok(true));
}

#[test]
fn nothing_and_not_a_number_are_no_data_for_every_condition() {
    for text in [
        "result < 1",
        "result >= 1",
        "result != 1",
        "!(result < 1)",
        "result[1] < 1",
    ] {
        assert_eq!(holds(text, &[]), Err(Unanswered::NoData), "{text}");
    }
    for text in ["result < 1", "result != 1", "!(result < 1)"] {
        assert_eq!(holds(text, &[f64::NAN]), Err(Unanswered::NoData), "{text}");
    }
}

#[test]
fn what_is_not_understood_is_pointed_at() {
    for (text, character, expected) in [
        ("", 1, "`result` or a number"),
        ("result", 7, "expected one of `<`"),
        ("result = 1", 8, "expected one of `<`"),
        ("result >= 0.99 and result < 2", 16, "`&&`, `||` or the end"),
        ("result >= x", 11, "`result` or a number"),
        ("result >= 99%", 11, "`result` or a number"),
        ("results > 1", 1, "`result` or a number"),
        ("ü > 1", 1, "`result` or a number"),
        ("result > 1 || ü", 15, "`result` or a number"),
        ("result > 1 && (1 < 2)", 16, "must be `result`"),
        ("(result > 1", 12, "expected `)`"),
        ("result[x] > 1", 8, "such as `[0]`"),
        ("result[0 > 1", 10, "expected `]`"),
        ("result[99999999] > 1", 8, "such as `[0]`"),
        ("result > 1e999", 10, "`result` or a number"),
        ("result > inf", 10, "`result` or a number"),
        ("1 < 2", 1, "must be `result`"),
    ] {
        let error = text.parse::<Condition>().expect_err(text);
        assert_eq!(error.character, character, "{text}: {error}");
        assert!(error.expected.contains(expected), "{text}: {error}");
    }
}

#[test]
fn long_and_deep_conditions_are_refused() {
    let deep = format!("{}result > 1{}", "(".repeat(100), ")".repeat(100));
    assert!(deep.parse::<Condition>().is_err());
    assert!(
        format!("{}result > 1", "!".repeat(900))
            .parse::<Condition>()
            .is_err()
    );
    assert!(
        format!("result > 1{}", " ".repeat(1000))
            .parse::<Condition>()
            .is_err()
    );
    let wide = vec!["(result > 1)"; 60].join(" && ");
    assert!(wide.parse::<Condition>().is_ok(), "levels are not parts");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_pointed_at(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn anything_like_a_condition_is_read_or_pointed_at(
        text in "(result|\\[|0\\]|\\]| |<|<=|==|!=|>=|!|&&|\\|\\||&|\\(|\\)|1|-2.5|1e9|\\.|true|é|x){0,20}",
        value in prop::collection::vec(any::<f64>(), 0..3),
    ) {
        check(&text);
        if let Ok(condition) = text.parse::<Condition>() {
            let _ = condition.holds(&value);
        }
    }

    #[test]
    fn the_opposite_of_a_condition_has_the_opposite_answer(limit in -1e6..1e6_f64, value in -1e6..1e6_f64) {
        let condition = format!("result < {limit}");
        prop_assert_eq!(holds(&condition, &[value]), Ok(value < limit));
        prop_assert_eq!(holds(&format!("!({condition})"), &[value]), Ok(value >= limit));
    }
}

fn check(text: &str) {
    match text.parse::<Condition>() {
        Ok(condition) => {
            assert_eq!(condition.to_string(), text);
            let json = serde_json::to_string(&condition).expect("text");
            assert_eq!(
                serde_json::from_str::<Condition>(&json).expect("text"),
                condition
            );
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.offset), "{error:?}");
            assert_eq!(text[..error.offset].chars().count() + 1, error.character);
        }
    }
}
