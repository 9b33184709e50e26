//! The edge as its own process: signals, commands, memory.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use bytes::Bytes;
use edge::{status::Status, table::Table};
use futures::stream;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tempfile::TempDir;

use crate::{harness::until, replica::Replica};

struct Process {
    child: Child,
    state: TempDir,
}

impl Process {
    fn start(state: TempDir) -> Self {
        let child = command(state.path(), &["--bind", "127.0.0.1", "--listen", "0"])
            .spawn()
            .unwrap();
        Self { child, state }
    }

    fn put(&self, table: &Table) {
        std::fs::write(
            self.state.path().join("table.json"),
            serde_json::to_vec(table).unwrap(),
        )
        .unwrap();
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        command(self.state.path(), arguments).output().unwrap()
    }

    fn status(&self) -> Option<Status> {
        serde_json::from_slice(&self.ask(&["status"]).stdout).ok()
    }

    /// The most memory that it ever had, in megabytes.
    fn peak_memory_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge"));
    command
        .arg("--state")
        .arg(state)
        .args(arguments)
        .stderr(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_and_commands_steer_the_process() {
    let replica = Replica::start("v1").await;
    let mut edge = Process::start(TempDir::new().unwrap());
    until("it runs", || edge.status()).await;
    assert!(edge.ask(&["health"]).status.success());
    edge.put(&Table::new(7, vec![replica.backend(1)]));
    edge.signal("-HUP");
    until("the table is in force", || {
        edge.status().filter(|status| status.is_settled(7))
    })
    .await;
    edge.put(&Table::new(8, vec![replica.backend(1)]));
    let told: Status = serde_json::from_slice(&edge.ask(&["reload"]).stdout).unwrap();
    assert_eq!(told.generation, Some(8));
    let address = edge.status().unwrap().listening[0].to_string();
    let answered = edge.ask(&[
        "probe",
        "--http",
        &format!("http://{address}/x"),
        "--timeout",
        "5s",
    ]);
    assert!(answered.status.success(), "{answered:?}");
    edge.signal("-TERM");
    until("it ends", || edge.child.try_wait().unwrap()).await;
    assert!(!edge.ask(&["health"]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_load_command_measures_a_service() {
    let replica = Replica::start("v1").await;
    let url = format!("http://{}/x", replica.address);
    let state = TempDir::new().unwrap();
    let load = ["load", "--url", &url, "--rate", "50", "--duration", "1s"];
    let printed = command(state.path(), &load).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let measured: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(measured["requests"], 50);
    assert_eq!(measured["failed"], 0, "{measured}");
    assert!(measured["p99_us"].as_u64().unwrap() >= measured["p50_us"].as_u64().unwrap());
    assert_eq!(replica.served(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_edge_comes_back_with_its_table() {
    let replica = Replica::start("v1").await;
    let mut edge = Process::start(TempDir::new().unwrap());
    edge.put(&Table::new(3, vec![replica.backend(1)]));
    until("it runs", || edge.status()).await;
    edge.child.kill().unwrap();
    edge.child.wait().unwrap();
    let state = std::mem::replace(&mut edge.state, TempDir::new().unwrap());
    let again = Process::start(state);
    until("its table is in force", || {
        again.status().filter(|status| status.is_settled(3))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_pass_both_ways_in_little_memory() {
    const CHUNKS: usize = 1600;
    let replica = Replica::start("v1").await;
    let edge = Process::start(TempDir::new().unwrap());
    edge.put(&Table::new(1, vec![replica.backend(1)]));
    until("it runs", || edge.status()).await;
    edge.signal("-HUP");
    let status = until("it settles", || {
        edge.status().filter(|status| status.is_settled(1))
    })
    .await;
    let url = |path: &str| format!("http://{}{path}", status.listening[0]);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let chunks =
        (0..CHUNKS).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[1; 65536]))));
    let upload = Request::post(url("/count"))
        .body(BodyExt::boxed(StreamBody::new(stream::iter(chunks))))
        .unwrap();
    let counted = client
        .request(upload)
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(counted, (CHUNKS * 65536).to_string());
    let nothing = BodyExt::boxed(StreamBody::new(stream::iter([])));
    let mut big = client
        .request(Request::get(url("/big")).body(nothing).unwrap())
        .await
        .unwrap()
        .into_body();
    let mut received = 0;
    while let Some(frame) = big.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(received, CHUNKS * 65536);
    let peak = edge.peak_memory_mb();
    assert!(peak < 64, "the edge took {peak} MB");
}

#[test]
fn a_probe_that_gets_no_answer_says_why() {
    let state = TempDir::new().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    for (target, value, reason) in [
        ("--tcp", free.clone(), "refused"),
        ("--http", format!("http://{free}/healthz"), "refused"),
        ("--http", "https://orders/".into(), "https is not supported"),
        (
            "--http",
            "http://no-such-name.invalid:80/".into(),
            "cannot resolve the name no-such-name.invalid",
        ),
    ] {
        let mut command = command(
            state.path(),
            &[
                "probe",
                target,
                &value,
                "--timeout",
                "300ms",
                "--interval",
                "50ms",
            ],
        );
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(reason) || said.contains("no answer within"),
            "{value}: {said}"
        );
    }
}
