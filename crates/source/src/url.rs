//! Addresses of repositories, as they come from outside.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{Error, SecretHeader};

const LONGEST: usize = 2048;

/// The address of a repository: `https://`, `http://`, `ssh://`, `git@host:path`, `git://`, `file://` or an absolute
/// path on this machine.
///
/// It cannot be mistaken for an option or a helper program of Git. A user name and password in an `https` address are
/// taken out of the text: they are sent as a header, never printed, and they do not count when addresses are compared.
#[derive(Clone)]
pub struct RepositoryUrl {
    text: String,
    transport: Transport,
    basic: Option<SecretHeader>,
}

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `https://` or `http://`.
    Http,
    /// `ssh://` or `user@host:path`.
    Ssh,
    /// `git://`: neither encrypted nor authenticated.
    Git,
    /// `file://` or an absolute path on the machine where Slipway runs.
    Local,
}

impl RepositoryUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] with what would be right.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let refuse = |reason: &str| {
            Err(Error::InvalidUrl {
                text: redacted(text),
                reason: reason.to_owned(),
            })
        };
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > LONGEST {
            return Err(Error::InvalidUrl {
                text: redacted(&text.chars().take(80).collect::<String>()),
                reason: format!("it is longer than {LONGEST} bytes"),
            });
        }
        if text.starts_with('-') {
            return refuse("it begins with '-'");
        }
        if text.chars().any(char::is_control) {
            return refuse("it has control characters");
        }
        if text.starts_with('/') {
            return Ok(Self::of(text.to_owned(), Transport::Local, None));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme.to_ascii_lowercase().as_str() {
                scheme @ ("https" | "http") => http(scheme, rest, text),
                "ssh" | "git+ssh" | "ssh+git" => ssh(rest, text),
                "git" => git(rest, text),
                "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                    path if path.starts_with('/') => {
                        Ok(Self::of(format!("file://{path}"), Transport::Local, None))
                    }
                    _ => refuse("a file address has three slashes: file:///path/to/repository"),
                },
                _ => refuse("the scheme is none of https, http, ssh, git, file"),
            };
        }
        if text.contains("::") {
            return refuse("helper programs of Git (such as ext::) are not allowed");
        }
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') => scp(host, path, text),
            _ => refuse(
                "write an https or ssh address, git@host:path, or an absolute path (a relative one means nothing to a server)",
            ),
        }
    }

    /// The address without credentials, as Git is given it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How the repository is reached.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The last part of the path without `.git`: `https://host/team/orders.git` is `orders`.
    pub fn name(&self) -> &str {
        let path = self.text.trim_end_matches('/');
        let path = path.strip_suffix("/.git").unwrap_or(path);
        let last = path.rsplit(['/', ':']).next().unwrap_or(path);
        last.strip_suffix(".git").unwrap_or(last)
    }

    /// The header for credentials that were written into the address.
    pub(crate) fn basic(&self) -> Option<&SecretHeader> {
        self.basic.as_ref()
    }

    fn of(text: String, transport: Transport, basic: Option<SecretHeader>) -> Self {
        Self {
            text,
            transport,
            basic,
        }
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for RepositoryUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RepositoryUrl({:?})", self.text)
    }
}

impl PartialEq for RepositoryUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RepositoryUrl {}

impl std::hash::Hash for RepositoryUrl {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl std::str::FromStr for RepositoryUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

fn http(scheme: &str, rest: &str, text: &str) -> Result<RepositoryUrl, Error> {
    let (user, host, path) = authority(rest, text)?;
    let basic = user.map(|user| {
        let user = if user.contains(':') {
            percent_decoded(user)
        } else {
            percent_decoded(&format!("{user}:"))
        };
        SecretHeader::new(format!("Authorization: Basic {}", STANDARD.encode(user)))
    });
    Ok(RepositoryUrl::of(
        format!("{scheme}://{host}{path}"),
        Transport::Http,
        basic,
    ))
}

fn ssh(rest: &str, text: &str) -> Result<RepositoryUrl, Error> {
    let (user, host, path) = authority(rest, text)?;
    let user = match user {
        None => String::new(),
        Some(user) if is_plain(user) => format!("{user}@"),
        Some(_) => {
            return refused(
                text,
                "an ssh address takes a user name, not a password: use a key",
            );
        }
    };
    Ok(RepositoryUrl::of(
        format!("ssh://{user}{host}{path}"),
        Transport::Ssh,
        None,
    ))
}

fn git(rest: &str, text: &str) -> Result<RepositoryUrl, Error> {
    match authority(rest, text)? {
        (None, host, path) => Ok(RepositoryUrl::of(
            format!("git://{host}{path}"),
            Transport::Git,
            None,
        )),
        _ => refused(text, "a git:// address takes no user name"),
    }
}

/// `user@host:path`, the short form of ssh.
fn scp(host: &str, path: &str, text: &str) -> Result<RepositoryUrl, Error> {
    let (user, name) = match host.split_once('@') {
        Some((user, name)) => (Some(user), name),
        None => (None, host),
    };
    if !user.is_none_or(is_plain) || !is_plain(name) {
        return refused(text, "write git@host:path, with a plain host name");
    }
    if path.is_empty() || path.starts_with('-') || path.contains(char::is_whitespace) {
        return refused(
            text,
            "the path after ':' is empty, begins with '-' or has spaces",
        );
    }
    Ok(RepositoryUrl::of(text.to_owned(), Transport::Ssh, None))
}

/// Splits `[user[:password]@]host[:port]/path`.
fn authority<'a>(rest: &'a str, text: &str) -> Result<(Option<&'a str>, String, &'a str), Error> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user).filter(|user| !user.is_empty()), host),
        None => (None, authority),
    };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_name = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_plain(name),
    };
    if !is_name || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return refused(text, "the host is missing or is not a host name");
    }
    if path.trim_matches('/').is_empty() {
        return refused(text, "the path of the repository is missing");
    }
    let lower = path.to_ascii_lowercase();
    if path.contains(char::is_whitespace)
        || ["%00", "%0a", "%0d"]
            .iter()
            .any(|code| lower.contains(code))
    {
        return refused(text, "the path has spaces or encoded control characters");
    }
    Ok((user, host.to_ascii_lowercase(), path))
}

/// A user or host name with nothing that a shell or ssh could take for something else.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_' | '+'))
}

fn refused<T>(text: &str, reason: &str) -> Result<T, Error> {
    Err(Error::InvalidUrl {
        text: redacted(text),
        reason: reason.to_owned(),
    })
}

/// The text without what could be a password.
fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => text.to_owned(),
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let code = (bytes[position] == b'%')
            .then(|| bytes.get(position + 1..position + 3))
            .flatten()
            .and_then(|digits| hex::decode(digits).ok());
        match code {
            Some(code) => {
                decoded.extend(code);
                position += 3;
            }
            None => {
                decoded.push(bytes[position]);
                position += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_every_transport_are_read() {
        for (text, shown, transport, name) in [
            (
                "https://github.com/team/orders.git",
                "https://github.com/team/orders.git",
                Transport::Http,
                "orders",
            ),
            (
                "HTTPS://GitHub.com/team/orders/",
                "https://github.com/team/orders/",
                Transport::Http,
                "orders",
            ),
            (
                "http://127.0.0.1:3000/a/b",
                "http://127.0.0.1:3000/a/b",
                Transport::Http,
                "b",
            ),
            (
                "http://[::1]:3000/a/b",
                "http://[::1]:3000/a/b",
                Transport::Http,
                "b",
            ),
            (
                "ssh://git@host:2222/a/b.git",
                "ssh://git@host:2222/a/b.git",
                Transport::Ssh,
                "b",
            ),
            (
                "git@host:team/orders.git",
                "git@host:team/orders.git",
                Transport::Ssh,
                "orders",
            ),
            (
                "git@host:orders",
                "git@host:orders",
                Transport::Ssh,
                "orders",
            ),
            (
                "git://host/orders",
                "git://host/orders",
                Transport::Git,
                "orders",
            ),
            (
                "file:///srv/my repos/orders",
                "file:///srv/my repos/orders",
                Transport::Local,
                "orders",
            ),
            (
                "file://localhost/srv/orders",
                "file:///srv/orders",
                Transport::Local,
                "orders",
            ),
            (
                "/srv/orders/.git",
                "/srv/orders/.git",
                Transport::Local,
                "orders",
            ),
        ] {
            let url = RepositoryUrl::parse(text).unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.transport(), url.name()),
                (shown, transport, name)
            );
        }
    }

    #[test]
    fn what_git_could_take_for_a_command_is_refused() {
        for text in [
            "",
            "-oProxyCommand=touch /tmp/x",
            "--upload-pack=touch /tmp/x",
            "ext::sh -c 'touch /tmp/x'",
            "fd::17",
            "transport::address",
            "ssh://-oProxyCommand=touch/x",
            "ssh://git@-oProxyCommand/x",
            "-x@host:path",
            "git@host:-path",
            "git@ho st:path",
            "https://host",
            "https:///path",
            "https://host/a%0ab",
            "https://host/a\nb",
            "https://host:99999/a",
            "relative/path",
            "./path",
            "ftp://host/path",
            "javascript://host/path",
            "file://host/path",
            "git://user@host/path",
            "ssh://user:password@host/path",
        ] {
            let error = RepositoryUrl::parse(text).unwrap_err();
            assert!(matches!(error, Error::InvalidUrl { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let url = RepositoryUrl::parse("https://deploy:s3cr%40t@host/a.git").unwrap();
        assert_eq!(
            url.basic().unwrap().expose(),
            "Authorization: Basic ZGVwbG95OnMzY3JAdA=="
        );
        for shown in [url.to_string(), format!("{url:?}"), url.as_str().to_owned()] {
            assert!(
                !shown.contains("s3cr") && !shown.contains("deploy"),
                "{shown}"
            );
        }
        let error = RepositoryUrl::parse("https://deploy:s3cret@host")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("s3cret"), "{error}");
        let error = RepositoryUrl::parse("ssh://deploy:s3cret@host/a")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read_or_refused(text in ".{0,80}") {
            if let Ok(url) = RepositoryUrl::parse(&text) {
                prop_assert!(!url.as_str().starts_with('-'));
                prop_assert!(!url.as_str().contains(char::is_control));
                prop_assert_eq!(RepositoryUrl::parse(url.as_str()).unwrap(), url);
            }
        }
    }
}
