//! How repositories are reached and how much is taken from them.

use std::{env, ffi::OsString, fmt, time::Duration};

/// Variables that are handed on to `git`; everything else of the environment is withheld.
const HANDED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "SSH_AUTH_SOCK",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Time limits, size limits, and what `git` is told of the machine.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The time for one conversation with a host, and for waiting until another one about the same repository is over.
    pub network_timeout: Duration,
    /// The time for one question about what was fetched.
    pub local_timeout: Duration,
    /// Whether paths on this machine and `file://` may be used. A service that takes addresses from outside its own
    /// machine says no.
    pub allow_local_paths: bool,
    /// The largest file that [`crate::Source::read_file`] returns.
    pub max_file_bytes: u64,
    /// The largest list of paths or commits that is read.
    pub max_listing_bytes: u64,
    /// The largest tree that [`crate::Source::archive`] streams.
    pub max_archive_bytes: u64,
    /// Headers to send to certain hosts, such as `Authorization: Bearer …`.
    pub credentials: Vec<Credential>,
    /// The environment of `git`. [`SourceConfig::from_environment`] fills it from this process.
    pub environment: Vec<(String, OsString)>,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            network_timeout: Duration::from_secs(600),
            local_timeout: Duration::from_secs(120),
            allow_local_paths: false,
            max_file_bytes: 4 << 20,
            max_listing_bytes: 128 << 20,
            max_archive_bytes: 4 << 30,
            credentials: Vec::new(),
            environment: Vec::new(),
        }
    }
}

impl SourceConfig {
    /// The defaults, with `PATH`, `HOME` (for SSH keys), `SSH_AUTH_SOCK`, certificate authorities and proxies as this
    /// process has them.
    pub fn from_environment() -> Self {
        let environment = HANDED_ON
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), env::var_os(name)?)))
            .collect();
        Self {
            environment,
            ..Self::default()
        }
    }
}

/// A header that is sent to the addresses that begin with a prefix, and to no others.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Such as `https://git.example.com/` or `https://git.example.com/team/`.
    pub url_prefix: String,
    /// The whole header.
    pub header: SecretHeader,
}

/// A header whose value is never printed.
#[derive(Clone)]
pub struct SecretHeader(String);

impl SecretHeader {
    /// Wraps a whole header: `Authorization: Bearer …`. Line breaks are dropped: they would start another header.
    pub fn new(header: impl Into<String>) -> Self {
        Self(header.into().replace(['\r', '\n'], ""))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretHeader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHeader(…)")
    }
}
