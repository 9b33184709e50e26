//! Numbers from any answer over HTTP.

use std::time::Duration;

use domain::spec::{HttpQuery, TimeSpan};
use reqwest::Url;

use super::access::Pass;
use super::exchange::{Answer, Question};
use super::reach::Reach;

/// How long the answer may take if the file does not say.
const LIMIT: Duration = Duration::from_secs(10);

/// How long the answer may take.
pub(super) fn limit(query: &HttpQuery) -> Duration {
    query.timeout.map_or(LIMIT, TimeSpan::get)
}

/// The status of the answer, or the numbers in its JSON.
pub(super) async fn ask(
    reach: &Reach,
    query: &HttpQuery,
    url: &str,
    pass: Pass,
) -> Result<Vec<f64>, String> {
    let url = Url::parse(url).map_err(|error| format!("the address is not understood: {error}"))?;
    let question = Question {
        url,
        pass,
        limit: limit(query),
    };
    numbers(query, &reach.get(&question).await?)
}

fn numbers(query: &HttpQuery, answer: &Answer) -> Result<Vec<f64>, String> {
    let Some(path) = &query.json_path else {
        return Ok(vec![f64::from(answer.status)]);
    };
    if !answer.is_success() {
        return Err(answer.complaint());
    }
    let document = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer is no JSON: {error}"))?;
    path.numbers(&document).map_err(|error| error.to_string())
}

/// The address as it may be shown.
pub(super) fn without_password(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Where there is a password, there is a host, and another one can be set.
            let _ = parsed.set_password(Some("…"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, status: u16, body: &str) -> Result<Vec<f64>, String> {
        let query = HttpQuery {
            url: "http://checks/ratio".to_owned(),
            json_path: (!path.is_empty()).then(|| path.parse().expect("a path")),
            timeout: None,
            auth: None,
        };
        let body = body.as_bytes().to_vec();
        numbers(&query, &Answer { status, body })
    }

    #[test]
    fn without_a_path_the_status_is_the_number() {
        assert_eq!(found("", 204, ""), Ok(vec![204.0]));
        assert_eq!(found("", 503, "down"), Ok(vec![503.0]));
    }

    #[test]
    fn with_a_path_the_number_is_in_the_json_of_a_good_answer() {
        let body = r#"{"data":{"ok":true,"ratio":0.5},"none":null}"#;
        assert_eq!(found("$.data.ratio", 200, body), Ok(vec![0.5]));
        assert_eq!(found("$.data.ok", 200, body), Ok(vec![1.0]));
        assert_eq!(found("$.none", 200, body), Ok(vec![]));
        let down = found("$.data.ratio", 503, "down").unwrap_err();
        assert_eq!(down, "the answer has status 503: down");
        let text = found("$.data.ratio", 200, "<html>").unwrap_err();
        assert!(text.starts_with("the answer is no JSON"), "{text}");
        assert!(found("$.data", 200, body).is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = without_password("http://ci:secret@checks/ratio?a=1");
        assert!(shown.starts_with("http://ci:") && shown.ends_with("@checks/ratio?a=1"));
        assert!(!shown.contains("secret"), "{shown}");
        assert_eq!(without_password("http://checks"), "http://checks");
    }
}
