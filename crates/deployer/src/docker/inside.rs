//! What only the network of an environment knows, asked from inside of it: by a command in the container of the edge.
//! So it does not matter where the deployer itself is.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use container_stage::naming::role;
use container_stage::outcome::chain;
use domain::ids::{EnvironmentName, ServiceName};
use edge::get::Head;
use engine::labels;
use engine::{ContainerId, Engine, ExecSpec};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap};

use super::edge::refusal;
use super::names::preview_of;
use super::ports::PUBLISHED;
use crate::analysis::exchange::{Answer, Question};
use crate::analysis::load::{self, Volley, Whom};

/// How much longer than the question itself the engine may take.
const SLACK: Duration = Duration::from_secs(10);

/// The inside of the network of an environment, as the edge of one of its services sees it.
#[derive(Clone)]
pub(crate) struct Inside {
    engine: Engine,
    environment: EnvironmentName,
    service: ServiceName,
}

impl Inside {
    pub(crate) fn new(engine: Engine, environment: EnvironmentName, service: ServiceName) -> Self {
        Self {
            engine,
            environment,
            service,
        }
    }

    /// Whether an address is that of a neighbour: the service itself, its preview, or a name that we don't know here.
    pub(crate) async fn has(&self, question: &Question) -> bool {
        let url = &question.url;
        let Some(host) = url.domain().filter(|_| url.scheme() == "http") else {
            return false;
        };
        if host == self.service.as_str() || host == preview_of(&self.service) {
            return true;
        }
        !question.is_known_here().await
    }

    /// The answer to a question that is asked there.
    pub(crate) async fn get(&self, question: &Question) -> Result<Answer, String> {
        let (url, headers) = without_login(question)?;
        let headers: BTreeMap<&str, String> = headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str(), value)
            })
            .collect();
        let headers = serde_json::to_string(&headers).expect("a map of texts has a JSON form");
        let limit = format!("{}ms", question.limit.as_millis().max(1));
        let mut spec = ExecSpec::new(["/edge", "get", "--url", url.as_str(), "--timeout", &limit]);
        // The command line is for everybody to see.
        spec.env = BTreeMap::from([("SLIPWAY_EDGE_HEADERS".to_owned(), headers)]);
        spec.limit = question.limit + SLACK;
        let said = self.exec(spec).await?;
        let end = said.iter().position(|byte| *byte == b'\n');
        let (head, body) = said.split_at(end.unwrap_or(said.len()));
        let head: Head = serde_json::from_slice(head)
            .map_err(|error| format!("the edge's answer is not understood: {error}"))?;
        let body = body.get(1..).unwrap_or_default();
        if body.len() != head.length {
            return Err(format!("the answer of {} broke off", question.host()));
        }
        Ok(Answer {
            status: head.status,
            body: body.to_vec(),
        })
    }

    /// Sends requests to the service, or to its preview.
    pub(crate) async fn send(&self, volley: &Volley) -> Result<(), String> {
        let host = match volley.whom {
            Whom::Service => self.service.to_string(),
            Whom::Preview => preview_of(&self.service),
        };
        let mut spec = ExecSpec::new([
            "/edge".to_owned(),
            "load".to_owned(),
            format!("--url=http://{host}:{PUBLISHED}{}", volley.path),
            format!("--rate={}", volley.rate),
            format!("--duration={}ms", volley.lasting.as_millis()),
            format!("--connections={}", volley.under_way),
            format!("--timeout={}ms", load::PATIENCE.as_millis()),
            format!("--user-agent={}", load::USER_AGENT),
            format!("--header={}={}", load::HEADER, self.environment),
        ]);
        spec.limit = volley.lasting + load::PATIENCE + SLACK;
        self.exec(spec).await.map(drop)
    }

    /// Runs a command of the edge; gives what it printed.
    async fn exec(&self, spec: ExecSpec) -> Result<Vec<u8>, String> {
        let command = spec.argv.get(1).cloned().unwrap_or_default();
        let id = self.edge().await?;
        let ran = self.engine.exec(&id, spec).await;
        let ran = ran.map_err(|error| chain(&error))?;
        if ran.code == 0 {
            return Ok(ran.stdout);
        }
        let said = String::from_utf8_lossy(&ran.stderr);
        let why = refusal(&command, ran.code, said.trim());
        let first = why.lines().next().unwrap_or_default();
        Err(first.trim_start_matches("edge: ").to_owned())
    }

    async fn edge(&self) -> Result<ContainerId, String> {
        let filter = labels::of([
            (labels::ROLE, role::EDGE),
            (labels::ENVIRONMENT, self.environment.as_str()),
            (labels::SERVICE, self.service.as_str()),
        ]);
        let found = self.engine.list(&filter).await;
        let found = found.map_err(|error| chain(&error))?;
        let running = found.into_iter().find(|container| container.is_running());
        match running {
            Some(container) => Ok(container.id),
            None => Err(format!("the edge of {} does not run", self.service)),
        }
    }
}

/// The address without a user and a password, and the headers with them, as HTTP has it.
fn without_login(question: &Question) -> Result<(Url, HeaderMap), String> {
    let (mut url, mut pass) = (question.url.clone(), question.pass.clone());
    let (user, password) = (url.username(), url.password());
    if (!user.is_empty() || password.is_some()) && !pass.is_authorized() {
        let mut login = decoded(user);
        login.push(b':');
        login.extend(decoded(password.unwrap_or_default()));
        pass.set(
            AUTHORIZATION.as_str(),
            &format!("Basic {}", STANDARD.encode(login)),
        )?;
    }
    let unusable = |()| format!("the address of {} is not understood", question.host());
    url.set_username("").map_err(unusable)?;
    url.set_password(None).map_err(unusable)?;
    Ok((url, pass.headers))
}

/// What `%3A` and the like stand for.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| hex::decode(digits).ok()) {
            Some(byte) => {
                bytes.extend(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::access::Pass;

    fn asked(url: &str, pass: Pass) -> (String, Option<String>) {
        let question = Question {
            url: url.parse().expect("a URL"),
            pass,
            limit: Duration::from_secs(1),
        };
        let (url, headers) = without_login(&question).expect("it can be asked");
        let shown = headers.get(AUTHORIZATION);
        let shown = shown.map(|value| value.to_str().expect("text").to_owned());
        (url.to_string(), shown)
    }

    #[test]
    fn a_login_in_an_address_is_a_header_and_not_on_the_command_line() {
        let basic = |login: &str| Some(format!("Basic {}", STANDARD.encode(login)));
        let of = |url: &str| asked(url, Pass::default());
        let plain = "http://orders:8080/check?a=1".to_owned();
        let found = of("http://ci:open%20s%3Asam%c3%a9@orders:8080/check?a=1");
        assert_eq!(found, (plain.clone(), basic("ci:open s:samé")));
        assert_eq!(of("http://ci@orders:8080/check?a=1").1, basic("ci:"));
        assert_eq!(of(&plain), (plain.clone(), None));
        let mut pass = Pass::default();
        pass.set("Authorization", "Bearer t").expect("a header");
        let found = asked("http://ci:secret@orders:8080/check?a=1", pass);
        assert_eq!(found, (plain, Some("Bearer t".to_owned())));
    }
}
