//! The commands of the binary.

use std::{io::Write as _, net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    admin::{self, Question},
    duration,
    error::chain,
    get::{self, Get},
    load::{self, Load},
    probe::{Probe, TargetError},
    server::{self, Options},
};

/// Slipway's weighted HTTP proxy: spreads the requests of one service over its replicas.
#[derive(Debug, Parser)]
#[command(name = "edge", version)]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Settings {
    /// Directory of the table (`table.json`) and the control socket
    #[arg(
        long,
        global = true,
        env = "SLIPWAY_EDGE_STATE",
        default_value = "/state"
    )]
    state: PathBuf,
    /// Address to listen on
    #[arg(
        long,
        global = true,
        env = "SLIPWAY_EDGE_BIND",
        default_value = "0.0.0.0"
    )]
    bind: IpAddr,
    /// Ports to listen on while the table names none, separated by commas
    #[arg(
        long,
        global = true,
        env = "SLIPWAY_EDGE_LISTEN",
        value_delimiter = ','
    )]
    listen: Vec<u16>,
    /// How long a client may take to send the head of a request
    #[arg(long, global = true, env = "SLIPWAY_EDGE_HEAD_TIMEOUT", default_value = "30s", value_parser = duration::parse)]
    head_timeout: Duration,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy (the default); SIGHUP reads the table again, SIGTERM drains and stops
    Serve,
    /// Print the running edge's status as one JSON document
    Status,
    /// Make the running edge read its table again, and print the status after that
    Reload,
    /// Exit with 0 when the edge runs and listens
    Health,
    /// Wait until something answers; exit with 1 and print the last failure when it does not
    Probe(ProbeArgs),
    /// Send GET requests at a constant rate and print what was measured as one JSON document
    Load(LoadArgs),
    /// Send one GET request; print its status and length as one line of JSON, and then its body
    Get(GetArgs),
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// What to GET, such as http://orders:8080/
    #[arg(long)]
    url: String,
    /// Requests a second
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// For how long
    #[arg(long, value_parser = duration::parse)]
    duration: Duration,
    /// The `User-Agent` of the requests
    #[arg(long, default_value = "slipway-edge")]
    user_agent: HeaderValue,
    /// Another header of the requests, such as x-canary=always
    #[arg(long, value_name = "NAME=VALUE", value_parser = named_header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// How many requests may be under way at a time
    #[arg(long, default_value_t = load::CONNECTIONS)]
    connections: u64,
    /// How long an answer may take
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
}

#[derive(Debug, Args)]
struct GetArgs {
    /// What to GET, such as http://orders:8080/healthz
    #[arg(long)]
    url: String,
    /// How long the whole answer may take
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    /// More headers, as a JSON object of texts
    #[arg(
        long,
        env = "SLIPWAY_EDGE_HEADERS",
        default_value = "{}",
        hide_env_values = true
    )]
    // Read later: what is wrong with a value is told with the value here.
    headers: String,
}

/// `name=value`.
fn named_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("`{text}` is not a header such as x-canary=always");
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let (name, value) = (name.parse(), value.parse());
    Ok((name.map_err(|_| wrong())?, value.map_err(|_| wrong())?))
}

#[derive(Debug, Args)]
struct ProbeArgs {
    #[command(flatten)]
    target: ProbeTarget,
    /// How long to wait
    #[arg(long, default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,
    /// Pause between two attempts
    #[arg(long, default_value = "250ms", value_parser = duration::parse)]
    interval: Duration,
    /// The one status that counts as an answer
    #[arg(long, conflicts_with = "tcp", value_name = "CODE")]
    expect_status: Option<StatusCode>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ProbeTarget {
    /// URL whose GET answers 2xx or 3xx, such as http://orders:8080/healthz
    #[arg(long, value_name = "URL")]
    http: Option<String>,
    /// Address that accepts a TCP connection, such as orders-db:5432
    #[arg(long, value_name = "HOST:PORT")]
    tcp: Option<String>,
}

impl Cli {
    /// Runs the command; results go to stdout, failures to stderr.
    pub async fn run(self) -> ExitCode {
        let done = match self.command.unwrap_or(Command::Serve) {
            Command::Serve => server::run(self.settings.into())
                .await
                .map_err(|error| chain(&error)),
            Command::Status => print_status(&self.settings, Question::Status).await,
            Command::Reload => print_status(&self.settings, Question::Reload).await,
            Command::Health => health(&self.settings).await,
            Command::Probe(args) => probe(args).await,
            Command::Load(args) => load(args).await,
            Command::Get(args) => get(args).await,
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("edge: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<Settings> for Options {
    fn from(settings: Settings) -> Self {
        let Settings {
            state,
            bind,
            listen,
            head_timeout,
        } = settings;
        Self {
            state,
            bind,
            listen,
            head_timeout,
        }
    }
}

async fn print_status(settings: &Settings, question: Question) -> Result<(), String> {
    let status = admin::ask(&settings.state, question)
        .await
        .map_err(|error| chain(&error))?;
    println!(
        "{}",
        serde_json::to_string(&status).map_err(|error| error.to_string())?
    );
    Ok(())
}

async fn health(settings: &Settings) -> Result<(), String> {
    let status = admin::ask(&settings.state, Question::Status)
        .await
        .map_err(|error| chain(&error))?;
    if status.listening.is_empty() {
        return Err("the edge listens nowhere; give it a table or SLIPWAY_EDGE_LISTEN".into());
    }
    println!(
        "listening on {:?}, table {:?}",
        status.listening, status.generation
    );
    Ok(())
}

async fn load(args: LoadArgs) -> Result<(), String> {
    let mut headers = HeaderMap::from_iter(args.header);
    headers.insert(header::USER_AGENT, args.user_agent);
    let load = Load {
        url: args.url,
        rate: args.rate,
        duration: args.duration,
        headers,
        connections: args.connections,
        patience: args.timeout,
    };
    let measured = load.run().await.map_err(|error| error.to_string())?;
    println!(
        "{}",
        serde_json::to_string(&measured).map_err(|error| error.to_string())?
    );
    Ok(())
}

async fn get(args: GetArgs) -> Result<(), String> {
    let get = Get {
        url: args.url,
        headers: get::headers(&args.headers)?,
        within: args.timeout,
    };
    let (head, body) = get.ask().await.map_err(|error| error.to_string())?;
    let head = serde_json::to_string(&head).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{head}")
        .and_then(|()| out.write_all(&body))
        .and_then(|()| out.flush())
        .map_err(|error| format!("the answer can't be printed: {error}"))
}

async fn probe(args: ProbeArgs) -> Result<(), String> {
    let (target, probe) = match (args.target.http, args.target.tcp) {
        (Some(url), _) => (url.clone(), Probe::http(&url, args.expect_status)),
        (None, Some(address)) => (address.clone(), Probe::tcp(&address)),
        (None, None) => return Err("nothing to probe: give --http or --tcp".into()),
    };
    let probe = probe.map_err(|error: TargetError| error.to_string())?;
    match probe.wait(args.timeout, args.interval).await {
        Ok(after) => {
            println!("{target} answered after {} ms", after.as_millis());
            Ok(())
        }
        Err(error) => Err(format!(
            "{target} did not answer within {:?}: {}",
            args.timeout,
            chain(&error)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn headers_that_are_wrong_are_refused_without_their_values() {
        let wrong = "{\"x-key\": sesame}";
        let words = [
            "edge",
            "get",
            "--url=http://127.0.0.1:1/",
            "--headers",
            wrong,
        ];
        let cli = Cli::try_parse_from(words).expect("nothing is told of them here");
        let Some(Command::Get(args)) = cli.command else {
            panic!("another command");
        };
        let why = get(args).await.expect_err("they are wrong");
        assert_eq!(why, "the headers are no JSON object of texts");
    }
}
