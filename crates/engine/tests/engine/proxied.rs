//! The same engine over TCP, and as an engine without BuildKit would be: behind a proxy that refuses sessions.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use engine::{BuildSpec, Context, Engine, Error, ErrorClass, Secret, tar_files};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::setup::{Bench, Output, capture};

#[derive(Clone, Copy, PartialEq)]
enum Sessions {
    Passed,
    Refused,
}

/// Starts a proxy before the engine; it ends with the set.
async fn proxy(engine: &Engine, sessions: Sessions, tasks: &mut JoinSet<()>) -> Result<String> {
    let socket = engine
        .host()
        .strip_prefix("unix://")
        .context("an engine at a socket")?
        .to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("tcp://{}", listener.local_addr()?);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let socket = socket.clone();
            connections.spawn(async move { pass(client, &socket, sessions).await.ok() });
        }
    });
    Ok(address)
}

async fn pass(mut client: TcpStream, socket: &str, sessions: Sessions) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    if sessions == Sessions::Refused && head.starts_with(b"POST /session") {
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        return client.write_all(answer).await;
    }
    let mut engine = UnixStream::connect(socket).await?;
    engine.write_all(&head).await?;
    tokio::io::copy_bidirectional(&mut client, &mut engine)
        .await
        .map(drop)
}

fn spec(dockerfile: &str) -> Result<BuildSpec> {
    let dockerfile = dockerfile.replace("BASE", testkit::docker::BUSYBOX);
    let files = BTreeMap::from([("Dockerfile".to_owned(), dockerfile.into_bytes())]);
    Ok(BuildSpec::new(Context::Tar(tar_files(&files)?)))
}

async fn build(engine: &Engine, spec: BuildSpec) -> (Result<engine::BuiltImage, Error>, Output) {
    let (sink, output) = capture();
    let cancel = CancellationToken::new();
    tokio::join!(engine.build_image(spec, sink, &cancel), output)
}

#[tokio::test]
async fn an_engine_without_buildkit_builds_the_classic_way() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut tasks = JoinSet::new();
    let classic =
        Engine::connect_to(&proxy(&bench.engine, Sessions::Refused, &mut tasks).await?).await?;
    let dockerfile = format!("FROM BASE\nRUN echo hello {}\n", bench.run);
    let mut first = spec(&dockerfile)?;
    first.tags = vec![format!("slipway-test/{}:classic", bench.run)];
    let tag = first.tags[0].clone();
    let (built, output) = build(&classic, first).await;
    assert_eq!(built?.cached_steps, 0);
    assert!(output.text().contains("Step 2/2"), "{}", output.text());
    let (again, _) = build(&classic, spec(&dockerfile)?).await;
    assert_eq!(again?.cached_steps, 1);
    classic.remove_image(&tag).await?;

    let (failed, _) = build(&classic, spec("FROM BASE\nRUN echo why; exit 3\n")?).await;
    assert!(
        matches!(failed, Err(Error::BuildFailed { .. })),
        "{failed:?}"
    );
    let (failed, _) = build(&classic, spec("FROM BASE\nRUNN x\n")?).await;
    assert!(
        matches!(&failed, Err(Error::BuildFailed { message }) if message.contains("RUNN")),
        "{failed:?}"
    );
    let (failed, _) = build(&classic, spec("FROM 127.0.0.1:1/away:1\n")?).await;
    assert!(
        matches!(&failed, Err(Error::PullFailed { image, .. }) if image.contains("away")),
        "{failed:?}"
    );
    let mut secret = spec(&dockerfile)?;
    secret.secrets.insert("token".to_owned(), Secret::new("x"));
    let (failed, _) = build(&classic, secret).await;
    assert!(matches!(failed, Err(Error::Invalid(_))), "{failed:?}");
    Ok(())
}

#[tokio::test]
async fn everything_works_over_tcp_and_a_lost_connection_is_ours() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut tasks = JoinSet::new();
    let remote =
        Engine::connect_to(&proxy(&bench.engine, Sessions::Passed, &mut tasks).await?).await?;
    assert_eq!(remote.id(), bench.engine.id());
    let mut secret = spec(
        "FROM BASE\nRUN --mount=type=secret,id=token,required=true wc -c < /run/secrets/token\n",
    )?;
    secret.no_cache = true;
    secret
        .secrets
        .insert("token".to_owned(), Secret::new("four"));
    let (built, output) = build(&remote, secret).await;
    remote.remove_image(&built?.id).await?;
    assert!(output.text().contains(" 4\n"), "{}", output.text());

    let (sink, mut chunks) = tokio::sync::mpsc::channel::<engine::OutputChunk>(16);
    let cancel = CancellationToken::new();
    let step = bench.step(["echo started; sleep 600"]);
    let cut = async {
        while let Some(chunk) = chunks.recv().await {
            if chunk.bytes.ends_with(b"\nstarted\n") || *chunk.bytes == *b"started\n" {
                tasks.shutdown().await;
            }
        }
    };
    let running = async { tokio::join!(remote.run_step(step, sink, &cancel), cut) };
    let (end, ()) = tokio::time::timeout(Duration::from_secs(60), running).await?;
    let error = end.expect_err("the engine is away");
    assert_eq!(
        error.class(),
        ErrorClass::Infrastructure { retryable: true },
        "{error:?}"
    );
    // Nobody could remove it then; the sweep does.
    let removed = bench.engine.remove_labelled(&bench.labels()).await?;
    assert_eq!(removed.containers, 1);
    Ok(())
}
