//! Where a registry is, and how to reach it.

use std::fmt;
use std::time::Duration;

use reqwest::Url;

use crate::reference::is_host;
use crate::{Error, RetryPolicy};

/// One registry: the address that image references carry, and how this process reaches it.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// The address as image references name it, `host[:port]`.
    pub address: String,
    /// The URL by which this process reaches it, when that differs, as inside a Compose network. By default the
    /// address, by plain HTTP on this machine's loopback and by HTTPS elsewhere.
    pub endpoint: Option<String>,
    /// Who to log in as; nobody where the registry is open.
    pub credentials: Option<Credentials>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How long to go on when the registry doesn't answer.
    pub retry: RetryPolicy,
}

/// A user and its password or access token. Printing it doesn't show the password.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// How long to wait for a registry before an attempt counts as failed.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until a request without a long body is answered.
    pub answer: Duration,
    /// Without a byte moving while a blob is transferred.
    pub stall: Duration,
    /// Until a registry has filed a blob that it has received.
    pub commit: Duration,
}

impl RegistryConfig {
    /// A registry at `address`, without credentials, with the usual timeouts.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            endpoint: None,
            credentials: None,
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
        }
    }

    /// The same registry, reached at `endpoint`.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The same registry, logged in.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The same registry, retried by another policy.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The URL of the registry's root, ending in a slash.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the address or the endpoint is malformed.
    pub(crate) fn base(&self) -> Result<Url, Error> {
        let fault = |reason: String| Error::Configuration {
            registry: self.address.clone(),
            reason,
        };
        if !is_host(&self.address) {
            return Err(fault(format!(
                "`{}` is not `host` or `host:port`, without a scheme or a path",
                self.address
            )));
        }
        let text = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None if is_loopback(&self.address) => format!("http://{}", self.address),
            None => format!("https://{}", self.address),
        };
        let mut url = Url::parse(&text)
            .map_err(|error| fault(format!("the endpoint `{text}` is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(fault(format!(
                "the endpoint `{text}` must start with http:// or https://"
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault(
                "the endpoint carries a user or password: give them as credentials".to_owned(),
            ));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(url)
    }
}

impl Credentials {
    /// A user and its password or access token.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            commit: Duration::from_secs(120),
        }
    }
}

/// Whether `host[:port]` or a URL's host can only be this machine.
pub(crate) fn is_loopback(address: &str) -> bool {
    let host = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => address,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(address: &str, endpoint: Option<&str>) -> Result<String, String> {
        let config = RegistryConfig {
            endpoint: endpoint.map(str::to_owned),
            ..RegistryConfig::new(address)
        };
        config
            .base()
            .map(String::from)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn loopback_is_plain_and_the_rest_encrypted_unless_said_otherwise() {
        assert_eq!(
            base("127.0.0.1:5000", None).unwrap(),
            "http://127.0.0.1:5000/"
        );
        assert_eq!(
            base("localhost:5000", None).unwrap(),
            "http://localhost:5000/"
        );
        assert_eq!(base("[::1]:5000", None).unwrap(), "http://[::1]:5000/");
        assert_eq!(
            base("registry.example.org", None).unwrap(),
            "https://registry.example.org/"
        );
        assert_eq!(
            base("r.example", Some("http://registry:5000")).unwrap(),
            "http://registry:5000/"
        );
        assert_eq!(
            base("r.example", Some("https://proxy.example/oci")).unwrap(),
            "https://proxy.example/oci/"
        );
    }

    #[test]
    fn a_bad_address_or_endpoint_says_so() {
        assert!(
            base("http://r.example", None)
                .unwrap_err()
                .contains("without a scheme")
        );
        assert!(
            base("r.example", Some("ftp://r.example"))
                .unwrap_err()
                .contains("http:// or https://")
        );
        assert!(
            base("r.example", Some("https://me:secret@r.example"))
                .unwrap_err()
                .contains("as credentials")
        );
    }

    #[test]
    fn credentials_do_not_print_the_password() {
        let shown = format!("{:?}", Credentials::new("ci", "hunter2"));
        assert!(
            shown.contains("ci") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
