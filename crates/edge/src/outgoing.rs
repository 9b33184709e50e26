//! A client's request, made ready to be sent to backends, as often as need be.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::BodyExt;
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};

use crate::{
    answer::Refusal,
    body::{Outbound, Source},
    headers,
};

/// Bodies of idempotent requests are kept up to this size, so that they can be sent again.
const BODY_KEPT: u64 = 64 * 1024;

/// The request without what concerned the client's connection.
pub(crate) struct Outgoing {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    /// Host and port as the client named them.
    authority: String,
    source: Source,
    /// The protocol to switch to, and the client's side of the tunnel.
    pub(crate) upgrade: Option<(HeaderValue, OnUpgrade)>,
}

impl Outgoing {
    pub(crate) async fn new(
        client: IpAddr,
        mut request: Request<Incoming>,
    ) -> Result<Self, Refusal> {
        let upgrade = (request.version() == Version::HTTP_11)
            .then(|| headers::upgrade(request.headers()))
            .flatten()
            .map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
        let (parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            return Err(Refusal::BadRequest("CONNECT is not served here"));
        }
        let path = parts
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        let authority = match (parts.uri.authority(), parts.headers.get(header::HOST)) {
            (Some(authority), _) => authority.as_str().to_owned(),
            (None, Some(host)) => host
                .to_str()
                .map_err(|_| Refusal::BadRequest("the Host header is not text"))?
                .to_owned(),
            (None, None) => String::new(),
        };
        let mut headers = parts.headers;
        headers::strip_hop_by_hop(&mut headers);
        headers::join_cookies(&mut headers);
        headers::add_forwarded(&mut headers, client, &authority);
        // `100 Continue` was the edge's to give, and it has given it once it reads the body.
        headers.remove(header::EXPECT);
        let source = keep_if_small(&parts.method, body).await?;
        Ok(Self {
            method: parts.method,
            path,
            headers,
            authority,
            source,
            upgrade,
        })
    }

    /// The host name that routes are looked up by.
    pub(crate) fn route_host(&self) -> String {
        headers::route_host(&self.authority)
    }

    /// The headers that are passed on.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// gRPC needs HTTP/2 up to the backend; everything else goes as HTTP/1.1, which every server speaks.
    pub(crate) fn is_grpc(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE);
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
    }

    /// Whether it may be sent to a backend again, after an attempt of which `nothing_sent` is certain or not.
    pub(crate) fn can_be_sent_again(&self, nothing_sent: bool) -> bool {
        self.source.is_whole() && (nothing_sent || self.method.is_idempotent())
    }

    /// The request of one attempt.
    pub(crate) fn attempt(&self, backend: &Authority) -> Result<Request<Outbound>, Refusal> {
        let grpc = self.is_grpc();
        let named: Option<Authority> = grpc.then(|| self.authority.parse().ok()).flatten();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(named.unwrap_or_else(|| backend.clone()));
        parts.path_and_query = Some(self.path.clone());
        let uri = Uri::from_parts(parts)
            .map_err(|_| Refusal::BadRequest("the request target is not a path"))?;
        let mut request = Request::new(self.source.attempt());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = if grpc {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        };
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        if grpc {
            headers.remove(header::HOST);
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        } else {
            let host = HeaderValue::from_str(&self.authority);
            headers.insert(
                header::HOST,
                host.map_err(|_| Refusal::BadRequest("the host is not text"))?,
            );
        }
        if let Some((protocol, _)) = &self.upgrade {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol.clone());
        }
        Ok(request)
    }
}

async fn keep_if_small(method: &Method, body: Incoming) -> Result<Source, Refusal> {
    let small = body.is_end_stream()
        || body
            .size_hint()
            .upper()
            .is_some_and(|size| size <= BODY_KEPT);
    if !(method.is_idempotent() && small) {
        return Ok(Source::stream(body));
    }
    let whole = body
        .collect()
        .await
        .map_err(|_| Refusal::BadRequest("the request body broke off"))?;
    // Trailers of a request that small would be lost; none of the methods here is sent with any.
    Ok(Source::Bytes(whole.to_bytes()))
}
