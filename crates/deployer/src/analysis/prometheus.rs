//! Numbers from a Prometheus server, by an instant query: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::access::Pass;
use super::exchange::{Answer, Question};
use super::reach::Reach;

/// How long the answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What every answer of the API looks like.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Envelope {
    Success {
        data: Found,
    },
    Error {
        #[serde(rename = "errorType", default)]
        kind: String,
        error: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Found {
    Vector(Vec<Sample>),
    Scalar(Point),
    Matrix(IgnoredAny),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct Sample {
    /// Absent of a native histogram.
    value: Option<Point>,
}

/// When, in seconds of Unix time, and what.
#[derive(Deserialize)]
struct Point(
    #[expect(dead_code, reason = "the number is what counts")] f64,
    String,
);

/// The numbers that a query comes to; none where there is no series.
pub(super) async fn ask(
    reach: &Reach,
    address: &str,
    query: &str,
    pass: Pass,
) -> Result<Vec<f64>, String> {
    let question = Question {
        url: url(address, query)?,
        pass,
        limit: LIMIT,
    };
    numbers(&reach.get(&question).await?)
}

fn url(address: &str, query: &str) -> Result<Url, String> {
    let base = format!("{}/api/v1/query", address.trim_end_matches('/'));
    Url::parse_with_params(&base, [("query", query)])
        .map_err(|error| format!("the address of the Prometheus server is not understood: {error}"))
}

fn numbers(answer: &Answer) -> Result<Vec<f64>, String> {
    let envelope = match serde_json::from_slice(&answer.body) {
        Ok(envelope) => envelope,
        Err(error) if answer.is_success() => {
            return Err(format!("the answer is not one of Prometheus: {error}"));
        }
        Err(_) => return Err(answer.complaint()),
    };
    let samples = match envelope {
        Envelope::Error { kind, error } => return Err(format!("Prometheus: {kind}: {error}")),
        Envelope::Success { data } => match data {
            Found::Scalar(point) => vec![Some(point)],
            Found::Vector(samples) => samples.into_iter().map(|sample| sample.value).collect(),
            Found::Matrix(_) => return Err(wrong("a range of values (a matrix)")),
            Found::String(_) => return Err(wrong("a string")),
        },
    };
    samples
        .into_iter()
        .map(|point| {
            let Point(_, text) = point.ok_or_else(|| wrong("a histogram"))?;
            text.parse()
                .map_err(|_| format!("the value {text:?} is not a number"))
        })
        .collect()
}

fn wrong(found: &str) -> String {
    format!("the query gives {found}; write one that gives a number for each series")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(status: u16, body: &str) -> Result<Vec<f64>, String> {
        numbers(&Answer {
            status,
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn a_vector_is_the_value_of_each_series() {
        let two = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"prometheus"},"value":[1435781451.781,"1"]},
            {"metric":{"__name__":"up","job":"node"},"value":[1435781451.781,"0.25"]}]}}"#;
        assert_eq!(found(200, two), Ok(vec![1.0, 0.25]));
        let none = r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["a warning"]}"#;
        assert_eq!(found(200, none), Ok(vec![]));
    }

    #[test]
    fn a_scalar_is_one_value_and_may_be_no_number() {
        let of = |value: &str| {
            let body = format!(
                r#"{{"status":"success","data":{{"resultType":"scalar","result":[1435781451,"{value}"]}}}}"#
            );
            found(200, &body)
        };
        assert_eq!(of("4.2e-3"), Ok(vec![0.0042]));
        assert_eq!(of("+Inf"), Ok(vec![f64::INFINITY]));
        assert_eq!(of("-Inf"), Ok(vec![f64::NEG_INFINITY]));
        assert!(of("NaN").expect("values")[0].is_nan());
        assert!(of("many").is_err());
    }

    #[test]
    fn what_the_server_complains_about_is_told() {
        let bad = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:4: parse error: unclosed left parenthesis"}"#;
        assert_eq!(
            found(400, bad).unwrap_err(),
            "Prometheus: bad_data: invalid parameter \"query\": 1:4: parse error: unclosed left parenthesis"
        );
        let proxy = found(502, "<h1>Bad Gateway</h1>").unwrap_err();
        assert_eq!(proxy, "the answer has status 502: <h1>Bad Gateway</h1>");
        assert!(
            found(200, "{}")
                .unwrap_err()
                .contains("not one of Prometheus")
        );
    }

    #[test]
    fn what_is_no_number_is_said_to_be_none() {
        for (kind, result) in [
            ("matrix", r#"[{"metric":{},"values":[[1,"1"]]}]"#),
            ("string", r#"[1,"text"]"#),
            ("vector", r#"[{"metric":{},"histogram":[1,{"count":"1"}]}]"#),
        ] {
            let body = format!(
                r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#
            );
            let error = found(200, &body).unwrap_err();
            assert!(error.starts_with("the query gives a "), "{error}");
        }
    }

    #[test]
    fn a_query_is_a_parameter_whatever_is_in_it() {
        let url = url("http://prometheus:9090/sub/", "a{b=\"c&d\"} > 1").expect("an address");
        assert_eq!(url.path(), "/sub/api/v1/query");
        let (name, value) = url.query_pairs().next().expect("a parameter");
        assert_eq!((&*name, &*value), ("query", "a{b=\"c&d\"} > 1"));
    }
}
