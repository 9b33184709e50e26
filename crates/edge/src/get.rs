//! One question and its whole answer, for somebody who has no way into this network.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, uri::Authority};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{
    connect::{Dns, Endpoint},
    error::chain,
    probe::TargetError,
};

/// Of a longer answer, nothing is printed.
const LONGEST: usize = 1_000_000;

/// The line that is printed before the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The status of the answer.
    pub status: u16,
    /// How many bytes its body has.
    pub length: usize,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Get {
    /// An `http` URL.
    pub url: String,
    /// Beside `Host` and `User-Agent`.
    pub headers: HeaderMap,
    /// How long the whole answer may take.
    pub within: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// It can't be asked.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Nothing in time.
    #[error("{host} did not answer within {} s", after.as_secs_f64())]
    Late {
        /// Who was asked.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// No answer, or one that broke off.
    #[error("{host} did not answer: {why}")]
    Failed {
        /// Who was asked.
        host: String,
        /// Why, with all causes.
        why: String,
    },
    /// More than is taken.
    #[error("{host} answered with more than {LONGEST} bytes")]
    TooLong {
        /// Who was asked.
        host: String,
    },
}

/// Headers as a JSON object of texts.
///
/// # Errors
/// What is wrong with them, without their values: they may be secrets.
pub fn headers(json: &str) -> Result<HeaderMap, String> {
    let texts: BTreeMap<String, String> =
        serde_json::from_str(json).map_err(|_| "the headers are no JSON object of texts")?;
    let mut headers = HeaderMap::new();
    for (name, value) in texts {
        let unusable = || format!("the header {name} can't be sent");
        let value = HeaderValue::try_from(value).map_err(|_| unusable())?;
        headers.insert(HeaderName::try_from(&name).map_err(|_| unusable())?, value);
    }
    Ok(headers)
}

impl Get {
    /// Asks on a connection of its own. Redirects are answers.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn ask(&self) -> Result<(Head, Bytes), GetError> {
        let bad = || TargetError::Url(self.url.clone());
        let uri: Uri = self.url.parse().map_err(|_| bad())?;
        let authority = uri.authority().cloned().ok_or_else(bad)?;
        if uri.scheme() != Some(&http::uri::Scheme::HTTP) {
            return Err(bad().into());
        }
        let host = authority.host().to_owned();
        match timeout(self.within, self.exchange(&uri, &authority)).await {
            Ok(answer) => answer,
            Err(_) => Err(GetError::Late {
                host,
                after: self.within,
            }),
        }
    }

    async fn exchange(&self, uri: &Uri, authority: &Authority) -> Result<(Head, Bytes), GetError> {
        let host = || authority.host().to_owned();
        let failed = |why: String| GetError::Failed { host: host(), why };
        let endpoint = Endpoint::new(authority, 80, Arc::new(Dns::of_system()));
        let stream = endpoint.connect_anew().await;
        let stream = stream.map_err(|error| failed(chain(&error)))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path)
            .header(header::HOST, without_login(authority))
            .header(header::USER_AGENT, "slipway-edge")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(chain(&error)))?;
        request.headers_mut().extend(self.headers.clone());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(chain(&error)))?;
        let answer = async {
            let response = sender.send_request(request).await;
            let response = response.map_err(|error| failed(chain(&error)))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => GetError::TooLong { host: host() },
                None => failed(format!("the answer broke off: {}", chain(&*error))),
            })?;
            let body = body.to_bytes();
            let length = body.len();
            Ok((Head { status, length }, body))
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The answer learns from its own channel how the connection ended.
            _ = connection => answer.await,
        }
    }
}

/// `host:port`.
fn without_login(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    use super::*;

    #[test]
    fn headers_are_a_map_and_their_values_are_not_told() {
        let good = headers(r#"{"x-key": "open sesame"}"#).expect("they are right");
        assert_eq!(good["x-key"], "open sesame");
        for bad in [
            r#"{"x-key": "open\nsesame"}"#,
            r#"{"a b": "sesame"}"#,
            "sesame",
        ] {
            let why = headers(bad).expect_err(bad);
            assert!(!why.contains("sesame"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_login_in_the_address_is_no_part_of_the_host() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let get = Get {
            url: format!("http://ci:sesame@{address}/"),
            headers: HeaderMap::new(),
            within: Duration::from_secs(5),
        };
        let serve = async {
            let (stream, _) = listener.accept().await?;
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await? > 0 {}
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
            stream.get_mut().write_all(answer).await?;
            std::io::Result::Ok(head)
        };
        let (answer, head) = tokio::join!(get.ask(), serve);
        assert_eq!(answer.expect("an answer").0.status, 204);
        let head = head.expect("a request");
        assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
        assert!(!head.contains("sesame"), "{head}");
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_host() {
        let get = |url: &str| Get {
            url: url.to_owned(),
            headers: HeaderMap::new(),
            within: Duration::from_secs(5),
        };
        let refused = get("http://127.0.0.1:1/").ask().await.expect_err("nobody");
        let told = refused.to_string();
        assert!(told.starts_with("127.0.0.1 did not answer: "), "{told}");
        let secure = get("https://127.0.0.1:1/").ask().await;
        assert!(matches!(secure, Err(GetError::Target(_))), "{secure:?}");
    }
}
