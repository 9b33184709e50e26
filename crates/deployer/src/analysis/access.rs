//! What a measurement shows to be let in. Its secrets are read each time, and never in what is told of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use container_stage::outcome::chain;
use container_stage::secrets;
use domain::spec::{Access, EnvValue, SecretReference};
use engine::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::service::SERVICE;

/// What takes the place of a secret in a text.
const HIDDEN: &str = "…";
/// Shorter ones would hide half of every text, and are none.
const SHORTEST: usize = 4;

/// What is shown to be let in.
#[derive(Clone, Default)]
pub(crate) struct Pass {
    pub(crate) headers: HeaderMap,
    /// Certificates (PEM) that the other side's is signed by.
    pub(crate) authorities: Option<Vec<u8>>,
    /// What must not be shown to people.
    hidden: Vec<String>,
}

/// Reads the secret behind a reference.
pub(super) trait ReadSecret {
    async fn read(&self, reference: &SecretReference) -> Result<Secret, String>;
}

/// Those that the deployer itself has.
pub(super) struct Own;

impl ReadSecret for Own {
    async fn read(&self, reference: &SecretReference) -> Result<Secret, String> {
        secrets::read(reference, SERVICE).map_err(|error| chain(&error))
    }
}

impl Pass {
    /// What the file names.
    pub(super) async fn of(
        access: Option<&Access>,
        secrets: &impl ReadSecret,
    ) -> Result<Self, String> {
        let mut pass = Self::default();
        let Some(access) = access else {
            return Ok(pass);
        };
        if let Some(reference) = &access.bearer {
            let token = pass.text(reference, secrets).await?;
            pass.set("Authorization", &format!("Bearer {token}"))?;
        }
        if let Some(reference) = &access.basic {
            let login = pass.text(reference, secrets).await?;
            if !login.contains(':') {
                return Err(format!("{reference} does not hold user:password"));
            }
            let encoded = STANDARD.encode(&login);
            pass.set("Authorization", &format!("Basic {encoded}"))?;
            // Either part alone may come back in what the other side says.
            pass.hidden.extend(login.splitn(2, ':').map(str::to_owned));
            pass.hidden.push(encoded);
        }
        for (name, value) in &access.headers {
            let text = match value {
                EnvValue::Text(text) => text.clone(),
                EnvValue::Secret { secret } => pass.text(secret, secrets).await?,
            };
            pass.set(name, &text)?;
        }
        if let Some(reference) = &access.ca {
            pass.authorities = Some(secrets.read(reference).await?.expose().to_vec());
        }
        Ok(pass)
    }

    /// Whether nothing is shown and nobody else than usual is trusted.
    pub(crate) fn is_nothing(&self) -> bool {
        self.headers.is_empty() && self.authorities.is_none()
    }

    /// Whether the other side is told who asks in the way that HTTP has for it.
    pub(crate) fn is_authorized(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }

    /// A text for people, without the secrets.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut hidden: Vec<&String> = self.hidden.iter().collect();
        // What contains another one goes first.
        hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut text = text.to_owned();
        for secret in hidden.into_iter().filter(|s| s.len() >= SHORTEST) {
            text = text.replace(secret.as_str(), HIDDEN);
        }
        text
    }

    async fn text(
        &mut self,
        reference: &SecretReference,
        secrets: &impl ReadSecret,
    ) -> Result<String, String> {
        let secret = secrets.read(reference).await?;
        let text = std::str::from_utf8(secret.expose())
            .map_err(|_| format!("{reference} does not hold text"))?;
        self.hidden.push(text.to_owned());
        Ok(text.to_owned())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let unsendable = || format!("the value of the header {name} can't be sent");
        let header = HeaderName::try_from(name).map_err(|_| unsendable())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| unsendable())?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(())
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a secret, and how it is referred to.
    fn kept(text: &str) -> (tempfile::NamedTempFile, SecretReference) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("it can be written");
        let reference = SecretReference::File(file.path().display().to_string());
        (file, reference)
    }

    #[tokio::test]
    async fn a_login_is_sent_and_never_shown() {
        let (_file, basic) = kept("ci:open sesame\n");
        let access = Access {
            basic: Some(basic),
            ..Access::default()
        };
        let pass = Pass::of(Some(&access), &Own).await.expect("it is there");
        let encoded = STANDARD.encode("ci:open sesame");
        let header = pass.headers[AUTHORIZATION].to_str().expect("text");
        assert_eq!(header, format!("Basic {encoded}"));
        let told = pass.hide(&format!(
            "no user with open sesame, {encoded}, ci:open sesame"
        ));
        assert_eq!(told, "no user with …, …, …");
        assert!(!format!("{pass:?}").contains("sesame"), "{pass:?}");
        assert!(!format!("{pass:?}").contains(&encoded), "{pass:?}");
    }

    #[tokio::test]
    async fn a_header_may_be_a_secret() {
        let (_file, secret) = kept("s3cret-key");
        let access = Access {
            headers: [
                (
                    "X-Scope-OrgID".to_owned(),
                    EnvValue::Text("shop".to_owned()),
                ),
                ("X-Key".to_owned(), EnvValue::Secret { secret }),
            ]
            .into(),
            ..Access::default()
        };
        let pass = Pass::of(Some(&access), &Own).await.expect("it is there");
        assert_eq!(pass.headers["x-scope-orgid"], "shop");
        assert_eq!(pass.headers["x-key"], "s3cret-key");
        assert_eq!(pass.hide("shop with s3cret-key"), "shop with …");
        assert!(!pass.is_nothing());
    }

    #[tokio::test]
    async fn what_can_not_be_sent_is_said_without_the_secret() {
        let (_file, bearer) = kept("two\nlines");
        let access = |bearer, basic| Access {
            bearer,
            basic,
            ..Access::default()
        };
        let wrong = [
            access(Some(bearer.clone()), None),
            access(None, Some(bearer)),
            access(Some(SecretReference::File("/nowhere".to_owned())), None),
        ];
        for access in wrong {
            let why = Pass::of(Some(&access), &Own).await.expect_err("wrong");
            assert!(!why.contains("two") && !why.contains("lines"), "{why}");
        }
    }
}
