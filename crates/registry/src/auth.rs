//! Logging in: what to send with a request, and how to get it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::challenge::Challenge;
use crate::{Credentials, Error, Place, RepositoryName, failure};

/// How long a token is good whose server doesn't say, by the distribution project's token specification.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// What a request is going to do, as token servers want to know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope(Vec<String>);

/// The credentials for one registry and the tokens got with them.
pub(crate) struct Auth {
    credentials: Option<Credentials>,
    /// Whether passwords may only go to token servers by HTTPS.
    only_https: bool,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How the registry wants to be logged in to; known once it has said so.
    challenge: Option<Challenge>,
    tokens: HashMap<Scope, Token>,
}

struct Token {
    header: HeaderValue,
    good_until: Instant,
}

impl Scope {
    /// Needs nothing in particular.
    pub(crate) fn any() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn pull(name: &RepositoryName) -> Self {
        Self(vec![format!("repository:{name}:pull")])
    }

    pub(crate) fn push(name: &RepositoryName) -> Self {
        Self(vec![format!("repository:{name}:pull,push")])
    }

    pub(crate) fn delete(name: &RepositoryName) -> Self {
        Self(vec![format!("repository:{name}:pull,push,delete")])
    }

    /// The same, and reading `name` as well.
    pub(crate) fn and_pull(mut self, name: &RepositoryName) -> Self {
        self.0.push(format!("repository:{name}:pull"));
        self
    }
}

impl Auth {
    pub(crate) fn new(
        credentials: Option<Credentials>,
        only_https: bool,
        timeout: Duration,
    ) -> Self {
        Self {
            credentials,
            only_https,
            timeout,
            state: Mutex::default(),
        }
    }

    /// What to send with a first attempt.
    pub(crate) async fn known(
        &self,
        http: &reqwest::Client,
        scope: &Scope,
        place: &Place,
    ) -> Result<Option<HeaderValue>, Error> {
        let mut state = self.state.lock().await;
        let Some(challenge) = state.challenge.clone() else {
            return Ok(None);
        };
        self.header(&mut state, &challenge, http, scope, place)
            .await
    }

    /// What to send after `challenge`, when that is something else than what was `used`.
    pub(crate) async fn answer(
        &self,
        challenge: Challenge,
        used: Option<&HeaderValue>,
        http: &reqwest::Client,
        scope: &Scope,
        place: &Place,
    ) -> Result<Option<HeaderValue>, Error> {
        let mut state = self.state.lock().await;
        if state.challenge.as_ref() != Some(&challenge) {
            state.tokens.clear();
            state.challenge = Some(challenge.clone());
        }
        if state
            .tokens
            .get(scope)
            .is_some_and(|token| Some(&token.header) == used)
        {
            state.tokens.remove(scope);
        }
        let header = self
            .header(&mut state, &challenge, http, scope, place)
            .await?;
        Ok(header.filter(|header| Some(header) != used))
    }

    async fn header(
        &self,
        state: &mut State,
        challenge: &Challenge,
        http: &reqwest::Client,
        scope: &Scope,
        place: &Place,
    ) -> Result<Option<HeaderValue>, Error> {
        let Challenge::Bearer { realm, service } = challenge else {
            return self
                .credentials
                .as_ref()
                .map(|credentials| basic(credentials, place))
                .transpose();
        };
        if let Some(token) = state
            .tokens
            .get(scope)
            .filter(|token| token.good_until > Instant::now())
        {
            return Ok(Some(token.header.clone()));
        }
        let token = self
            .fetch(realm, service.as_deref(), http, scope, place)
            .await?;
        let header = token.header.clone();
        state
            .tokens
            .retain(|_, token| token.good_until > Instant::now());
        state.tokens.insert(scope.clone(), token);
        Ok(Some(header))
    }

    /// Fetches a token, as <https://distribution.github.io/distribution/spec/auth/token/> describes.
    async fn fetch(
        &self,
        realm: &str,
        service: Option<&str>,
        http: &reqwest::Client,
        scope: &Scope,
        place: &Place,
    ) -> Result<Token, Error> {
        let mut url = Url::parse(realm).map_err(|error| {
            Error::protocol(
                place,
                format!("the registry names `{realm}` as its token server: {error}"),
            )
        })?;
        if self.only_https && url.scheme() != "https" {
            return Err(Error::protocol(
                place,
                format!(
                    "the registry names a token server without encryption ({realm}): nothing was sent to it"
                ),
            ));
        }
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .extend_pairs(scope.0.iter().map(|scope| ("scope", scope)));
        let place = Place {
            doing: "fetching a token for",
            ..place.clone()
        };
        let mut request = http.get(url);
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, basic(credentials, &place)?);
        }
        let response = tokio::time::timeout(self.timeout, request.send())
            .await
            .map_err(|_| {
                failure::timed_out(&place, "the token server did not answer", self.timeout)
            })?
            .map_err(|error| failure::unanswered(&place, &error))?;
        if response.status() != StatusCode::OK {
            return Err(failure::unwelcome(&place, response).await);
        }
        let body = tokio::time::timeout(self.timeout, response.bytes())
            .await
            .map_err(|_| {
                failure::timed_out(&place, "the token server did not finish", self.timeout)
            })?
            .map_err(|error| failure::unanswered(&place, &error))?;
        read_token(&body, Instant::now()).ok_or_else(|| {
            Error::protocol(
                &place,
                format!("the token server {realm} answered without a token"),
            )
        })
    }
}

fn read_token(body: &[u8], now: Instant) -> Option<Token> {
    #[derive(Deserialize)]
    struct Body {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<u64>,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let token = body
        .token
        .or(body.access_token)
        .filter(|token| !token.is_empty())?;
    let life = body.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
    // A request that starts now must still be welcome when it arrives.
    let good_until = now + life.saturating_sub(life / 5);
    Some(Token {
        header: secret(&format!("Bearer {token}"))?,
        good_until,
    })
}

fn basic(credentials: &Credentials, place: &Place) -> Result<HeaderValue, Error> {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    secret(&format!("Basic {}", STANDARD.encode(pair)))
        .ok_or_else(|| Error::protocol(place, "the credentials cannot be sent in a header"))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_by_either_name_and_renewed_before_it_ends() {
        let now = Instant::now();
        let token = read_token(br#"{"token":"a","expires_in":100}"#, now).unwrap();
        assert_eq!(token.header, "Bearer a");
        assert_eq!(token.good_until, now + Duration::from_secs(80));
        assert_eq!(
            read_token(br#"{"access_token":"b"}"#, now).unwrap().header,
            "Bearer b"
        );
        assert!(read_token(b"{}", now).is_none());
        assert!(read_token(b"{\"token\":\"a\\nb\"}", now).is_none());
    }
}
