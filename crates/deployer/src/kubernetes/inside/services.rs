//! Services of a namespace, asked through the API server: their names mean nothing outside of the cluster.

use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::client::Body;
use kube::core::Status;
use reqwest::Url;

use super::Cluster;
use crate::analysis::exchange::{Answer, LONGEST, Question};
use crate::kubernetes::error::ClusterError;

/// How the proxy begins where it can't reach a pod.
const UNREACHED: &str = "error trying to reach service";

/// A Service of the namespace by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    scheme: String,
    name: String,
    port: u16,
}

impl Address {
    /// `http://NAME.NAMESPACE.svc:PORT`, as long or short as names may be within a cluster.
    pub(super) fn of(url: &Url, namespace: &str) -> Option<Self> {
        let host = url.domain()?.trim_end_matches('.');
        let (name, rest) = host.split_once('.')?;
        let place = rest.strip_prefix(namespace)?;
        let is_own = matches!(place, "" | ".svc") || place.starts_with(".svc.");
        is_own.then(|| Self {
            scheme: url.scheme().to_owned(),
            name: name.to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
        })
    }

    fn path(&self, namespace: &str, url: &Url) -> String {
        let query = url.query().map(|query| format!("?{query}"));
        format!(
            "/api/v1/namespaces/{namespace}/services/{}:{}:{}/proxy{}{}",
            self.scheme,
            self.name,
            self.port,
            url.path(),
            query.unwrap_or_default()
        )
    }
}

impl Cluster {
    /// Asks a Service.
    pub(super) async fn ask(
        &self,
        address: &Address,
        question: &Question,
    ) -> Result<Answer, String> {
        let doing = format!("asking the Service {} in {}", address.name, self.namespace);
        let request = Request::get(address.path(&self.namespace, &question.url));
        let mut request = request
            .body(Body::empty())
            .map_err(|error| format!("the address is not understood: {error}"))?;
        // What begins so is for the API server, and not for who is behind it.
        let passed = question.pass.headers.iter();
        let passed = passed.filter(|(name, _)| !name.as_str().starts_with("impersonate-"));
        let headers = request.headers_mut();
        headers.extend(passed.map(|(name, value)| (name.clone(), value.clone())));
        let answer = self.client().send(request).await;
        let answer = answer.map_err(|error| ClusterError::of(&doing, &error).to_string())?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => question.too_long(),
            None => {
                let cause = error.source().map(|cause| format!(": {cause}"));
                let cause = cause.unwrap_or_default();
                format!(
                    "the answer of {} broke off: {error}{cause}",
                    question.host()
                )
            }
        })?;
        let body = body.to_bytes().to_vec();
        match complaint(status, &body) {
            Some(complaint) => Err(ClusterError::of(&doing, &complaint).to_string()),
            None => Ok(Answer { status, body }),
        }
    }
}

/// What the API server itself says, where it is not the Service that answers.
fn complaint(status: u16, body: &[u8]) -> Option<kube::Error> {
    if status < 400 {
        return None;
    }
    let said: Result<Status, _> = serde_json::from_slice(body);
    let is_kind = serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|json| json["kind"] == "Status" && json["apiVersion"] == "v1");
    if let Ok(said) = said.as_ref()
        && is_kind
    {
        return Some(kube::Error::Api(Box::new(said.clone())));
    }
    let text = String::from_utf8_lossy(body);
    let is_unreached = text.to_ascii_lowercase().starts_with(UNREACHED);
    is_unreached.then(|| {
        kube::Error::Api(Box::new(Status {
            code: 503,
            // Not cut: secrets in it are hidden later, and only whole ones are found.
            message: text.trim().to_owned(),
            ..Status::default()
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Option<(String, u16)> {
        let url = Url::parse(url).expect("a URL");
        Address::of(&url, "shop").map(|address| (address.name, address.port))
    }

    #[test]
    fn services_of_the_namespace_are_known_by_all_their_names() {
        for url in [
            "http://orders.shop:8080/healthz",
            "http://orders.shop.svc:8080",
            "http://orders.shop.svc.cluster.local:8080/",
            "http://orders.shop.svc.cluster.local.:8080/",
        ] {
            assert_eq!(address(url), Some(("orders".to_owned(), 8080)), "{url}");
        }
        assert_eq!(
            address("https://orders.shop.svc"),
            Some(("orders".to_owned(), 443))
        );
        for url in [
            "http://orders.shopping.svc:8080/",
            "http://orders.other.svc/",
            "http://orders:8080/",
            "http://shop.example.org/",
            "http://orders.shop.example.org/",
            "http://10.0.0.7:8080/",
        ] {
            assert_eq!(address(url), None, "{url}");
        }
    }

    #[test]
    fn the_whole_request_goes_through_the_proxy() {
        let url = Url::parse("http://orders.shop.svc:8080/a%20b?c=d&e").expect("a URL");
        let address = Address::of(&url, "shop").expect("a Service");
        assert_eq!(
            address.path("shop", &url),
            "/api/v1/namespaces/shop/services/http:orders:8080/proxy/a%20b?c=d&e"
        );
    }

    #[test]
    fn what_the_api_server_says_is_told_from_what_the_service_says() {
        let own = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no endpoints available for service \"orders\"","reason":"ServiceUnavailable","code":503}"#;
        let told = complaint(503, own).expect("its own");
        let told = ClusterError::of("asking", &told).to_string();
        assert!(told.contains("no endpoints available"), "{told}");
        let unreached = b"Error trying to reach service: 'dial tcp 10.0.0.7:8080: refused'";
        assert!(complaint(502, unreached).is_some());
        assert!(complaint(503, b"{\"status\":\"down\"}").is_none());
        assert!(
            complaint(200, own).is_none(),
            "the service may speak of such things"
        );
    }
}
