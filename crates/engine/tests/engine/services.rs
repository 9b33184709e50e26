use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use engine::{
    Attachment, ContainerInfo, ContainerSpec, ContainerState, Error, ExecSpec, Limits,
    OutputStream, PublishPort, RestartPolicy,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::setup::{Bench, capture, eventually};

/// A web server.
fn web(bench: &Bench) -> ContainerSpec {
    ContainerSpec {
        name: bench.name("web"),
        image: testkit::docker::BUSYBOX.to_owned(),
        command: Some(
            ["httpd", "-f", "-v", "-p", "8080", "-h", "/www"]
                .map(str::to_owned)
                .to_vec(),
        ),
        labels: bench.labels(),
        files: BTreeMap::from([("/www/index.html".to_owned(), b"hello".to_vec())]),
        ports: vec![PublishPort {
            container: 8080,
            host: None,
            host_ip: "127.0.0.1".to_owned(),
        }],
        limits: Limits {
            memory_bytes: Some(64 << 20),
            ..Limits::default()
        },
        ..ContainerSpec::default()
    }
}

/// A shell script that runs until it is stopped.
fn script(bench: &Bench, script: &str) -> ContainerSpec {
    ContainerSpec {
        name: bench.name("script"),
        image: testkit::docker::BUSYBOX.to_owned(),
        command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
        labels: bench.labels(),
        ..ContainerSpec::default()
    }
}

async fn get(port: u16) -> Result<String> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream
        .write_all(b"GET /index.html HTTP/1.0\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn only_one(bench: &Bench) -> Result<ContainerInfo> {
    let mut all = bench.engine.list(&bench.labels()).await?;
    assert_eq!(all.len(), 1, "{all:?}");
    all.pop().context("one")
}

#[tokio::test]
async fn a_service_serves_and_is_found_by_its_labels() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let network = bench.name("net");
    let first = bench
        .engine
        .ensure_network(&network, &bench.labels())
        .await?;
    assert_eq!(
        first,
        bench
            .engine
            .ensure_network(&network, &bench.labels())
            .await?
    );
    let second = bench.name("second");
    bench
        .engine
        .ensure_network(&second, &bench.labels())
        .await?;
    let mut spec = web(&bench);
    spec.networks = vec![
        Attachment::new(&network, ["web"]),
        Attachment::new(&second, ["web2"]),
    ];
    let id = bench.engine.start_service(&spec).await?;
    let found = only_one(&bench).await?;
    assert_eq!(
        (&found.id, &found.name, found.state),
        (&id, &spec.name, ContainerState::Running)
    );
    assert!(found.started_at.is_some());
    assert!(
        found.addresses.contains_key(&network) && found.addresses.contains_key(&second),
        "{found:?}"
    );
    let port = found.ports.first().context("a port")?;
    assert_eq!((port.container, port.host_ip.as_str()), (8080, "127.0.0.1"));
    let answer = eventually("it answers", || async {
        Ok(get(port.host).await.ok().filter(|text| !text.is_empty()))
    })
    .await?;
    assert!(answer.ends_with("hello"), "{answer}");

    let mut caller = bench.step(["wget -q -O- http://web:8080/index.html"]);
    caller.network = Some(Attachment::new(&network, [] as [&str; 0]));
    assert!(bench.run(caller).await?.1.text().ends_with("hello"));
    bench.engine.stop(&id, Duration::from_secs(1)).await?;
    bench.engine.remove(&id).await?;
    bench.engine.remove(&id).await?;
    assert!(bench.engine.inspect(&id).await?.is_none());
    bench.engine.remove_network(&network).await?;
    bench.engine.remove_network(&network).await?;
    bench.clean_up().await
}

#[tokio::test]
async fn starting_again_takes_what_runs_and_replaces_what_differs() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut spec = web(&bench);
    let id = bench.engine.start_service(&spec).await?;
    assert_eq!(bench.engine.start_service(&spec).await?, id);
    bench.engine.stop(&id, Duration::from_secs(1)).await?;
    assert_eq!(bench.engine.start_service(&spec).await?, id);
    assert!(only_one(&bench).await?.is_running());

    spec.env.insert("VERSION".to_owned(), "2".to_owned());
    let error = bench
        .engine
        .start_service(&spec)
        .await
        .expect_err("it differs");
    assert!(matches!(error, Error::NameTaken { .. }), "{error:?}");
    let new = bench
        .engine
        .replace_service(&spec, Duration::from_secs(1))
        .await?;
    assert_ne!(new, id);
    assert_eq!(
        bench
            .engine
            .replace_service(&spec, Duration::from_secs(1))
            .await?,
        new
    );
    assert_eq!(only_one(&bench).await?.id, new);
    bench.clean_up().await
}

#[tokio::test]
async fn a_service_that_cannot_start_leaves_nothing() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut spec = web(&bench);
    spec.user = Some("stranger".to_owned());
    let error = bench
        .engine
        .start_service(&spec)
        .await
        .expect_err("no such user");
    assert!(matches!(error, Error::CannotStart { .. }), "{error:?}");
    bench.nothing_is_left().await
}

#[tokio::test]
async fn programs_files_and_signals_reach_a_running_container() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let spec = script(
        &bench,
        "trap 'cat /etc/reloaded' HUP; trap 'exit 7' USR1; echo ready; while true; do sleep 0.1; done",
    );
    let id = bench.engine.start_service(&spec).await?;
    let mut exec = ExecSpec::new(["sh", "-c", "echo out $X; echo err >&2; exit 5"]);
    exec.env.insert("X".to_owned(), "1".to_owned());
    let ended = bench.engine.exec(&id, exec).await?;
    assert_eq!(
        (ended.code, ended.stdout, ended.stderr),
        (5, b"out 1\n".to_vec(), b"err\n".to_vec())
    );

    let mut slow = ExecSpec::new(["sleep", "60"]);
    slow.limit = Duration::from_millis(300);
    assert!(matches!(
        bench.engine.exec(&id, slow).await,
        Err(Error::NoAnswer { .. })
    ));

    bench
        .engine
        .put_files(
            &id,
            "/etc",
            &BTreeMap::from([("reloaded".to_owned(), b"again\n".to_vec())]),
        )
        .await?;
    eventually("it is ready", || async {
        let lines = bench.engine.logs(&id, 10).await?;
        Ok(lines.iter().any(|line| line.text == "ready").then_some(()))
    })
    .await?;
    bench.engine.signal(&id, "HUP").await?;
    eventually("it has reloaded", || async {
        let lines = bench.engine.logs(&id, 1).await?;
        Ok(lines.iter().any(|line| line.text == "again").then_some(()))
    })
    .await?;
    bench.engine.signal(&id, "USR1").await?;
    assert_eq!(bench.engine.wait_exit(&id).await?, 7);
    let found = only_one(&bench).await?;
    assert_eq!(
        found.state,
        ContainerState::Exited {
            code: 7,
            out_of_memory: false
        }
    );
    bench.clean_up().await
}

#[tokio::test]
async fn logs_are_tailed_and_followed() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let spec = script(
        &bench,
        "seq 1 1000; echo oops >&2; trap 'echo bye; exit' TERM; while true; do sleep 0.1; done",
    );
    let id = bench.engine.start_service(&spec).await?;
    let all = eventually("all is printed", || async {
        let lines = bench.engine.logs(&id, 5000).await?;
        Ok((lines.len() == 1001).then_some(lines))
    })
    .await?;
    // The two streams are apart; between them there is no order.
    let of = |wanted| {
        all.iter()
            .filter(move |line| line.stream == wanted)
            .map(|line| line.text.as_str())
    };
    assert_eq!(of(OutputStream::Err).collect::<Vec<_>>(), ["oops"]);
    assert_eq!(of(OutputStream::Out).next_back(), Some("1000"));
    assert_eq!(bench.engine.logs(&id, 3).await?, all[998..]);
    let (sink, output) = capture();
    let cancel = CancellationToken::new();
    let stop = bench.engine.stop(&id, Duration::from_secs(10));
    let (followed, output, stopped) = tokio::join!(
        bench.engine.follow_logs(&id, 5000, sink, &cancel),
        output,
        stop
    );
    followed?;
    stopped?;
    assert!(
        output.text().starts_with("1\n2\n") && output.text().ends_with("1000\nbye\n"),
        "{output:?}"
    );
    bench.clean_up().await
}

#[tokio::test]
async fn a_crashing_service_is_restarted_and_its_crashes_are_counted() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut spec = script(&bench, "echo panic >&2; exit 9");
    spec.restart = RestartPolicy::OnFailure(2);
    let id = bench.engine.start_service(&spec).await?;
    let found = eventually("it is given up", || async {
        let found = bench.engine.inspect(&id).await?.context("it is there")?;
        Ok((found.restarts == 2
            && found.state
                == ContainerState::Exited {
                    code: 9,
                    out_of_memory: false,
                })
        .then_some(found))
    })
    .await?;
    assert_eq!(found.restarts, 2);
    bench.clean_up().await
}

#[tokio::test]
async fn a_clean_up_without_a_label_is_refused() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let nothing = engine::labels::Labels::new();
    assert!(matches!(
        bench.engine.remove_labelled(&nothing).await,
        Err(Error::Invalid(_))
    ));
    Ok(())
}
