//! One HTTP request at a time, over plain TCP.

use std::time::Duration;

use anyhow::{Context as _, Result};
use http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(10);

/// What was answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The lines of the head.
    pub head: String,
    /// The text after the head.
    pub body: String,
}

impl Response {
    /// A line of the head.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
    }
}

/// Asks for a URL, and returns the body of a good answer.
///
/// # Errors
/// When nobody answers, or with an error.
pub async fn get(url: &str) -> Result<String> {
    let Response { status, body, .. } = send("GET", url, &[], b"").await?;
    anyhow::ensure!(status < 400, "{url} answers {status}: {body}");
    Ok(body)
}

/// Sends a request, and returns the answer.
///
/// # Errors
/// When nobody answers.
pub async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    let uri: Uri = url.parse().with_context(|| format!("not a URL: {url:?}"))?;
    let authority = uri.authority().context("the URL has no host")?.as_str();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = format!(
        "{method} {path} HTTP/1.0\r\nhost: {authority}\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(authority).await?;
        stream.write_all(request.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(LIMIT, exchange)
        .await
        .with_context(|| format!("{url} does not answer"))??;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer without a head")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Response {
        status: status.context("an answer without a status")?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
