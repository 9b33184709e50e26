use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use engine::{Attachment, Error, Limits, Mount, StepCommand, StepExit, bytes_stream, tar_files};
use tokio_util::sync::CancellationToken;

use crate::setup::{Bench, capture, eventually};

#[tokio::test]
async fn commands_are_shown_and_their_output_streams_apart() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut step = bench.step([
        "cd /tmp",
        "pwd",
        "echo $GREETING >&2",
        "(exit 3)",
        "echo unreachable",
    ]);
    step.env
        .insert("GREETING".to_owned(), "it's\nme".to_owned());
    let (end, output) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::Exited(3));
    assert_eq!(
        output.text(),
        "$ cd /tmp\n$ pwd\n/tmp\n$ echo $GREETING >&2\n$ (exit 3)\n"
    );
    assert_eq!(output.err, b"it's me\n");
    bench.nothing_is_left().await
}

#[tokio::test]
async fn output_arrives_while_the_step_runs() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let (sink, mut chunks) = tokio::sync::mpsc::channel(4);
    let cancel = CancellationToken::new();
    let step = bench.step(["echo first; sleep 600"]);
    let seen = async {
        let mut text = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            let chunk: engine::OutputChunk = chunk;
            text.extend_from_slice(&chunk.bytes);
            if text.windows(6).any(|window| window == b"first\n") {
                cancel.cancel();
            }
        }
    };
    let (end, ()) = tokio::join!(bench.engine.run_step(step, sink, &cancel), seen);
    assert_eq!(end?.exit, StepExit::Cancelled);
    bench.nothing_is_left().await
}

#[tokio::test]
async fn a_line_of_10_mb_and_binary_output_come_through_unchanged() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let files = BTreeMap::from([("all-bytes".to_owned(), (0..=255).collect::<Vec<u8>>())]);
    let mut step = bench.step([
        "head -c 10000000 /dev/zero | tr '\\0' Q",
        "cat all-bytes >&2",
    ]);
    step.workdir = Some("/srv/deep".to_owned());
    step.files = Some(bytes_stream(tar_files(&files)?));
    let (end, output) = bench.run(step).await?;
    assert_eq!(
        end.exit,
        StepExit::Exited(0),
        "{}",
        String::from_utf8_lossy(&output.err)
    );
    assert_eq!(
        output.out.iter().filter(|byte| **byte == b'Q').count(),
        10_000_001
    );
    assert_eq!(output.err, (0..=255).collect::<Vec<u8>>());
    assert!(
        output.largest_chunk <= 1 << 20,
        "a chunk of {} bytes",
        output.largest_chunk
    );
    bench.nothing_is_left().await
}

#[tokio::test]
async fn a_flood_of_lines_loses_none() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let (end, output) = bench.run(bench.step(["seq 1 300000"])).await?;
    assert_eq!(end.exit, StepExit::Exited(0));
    let expected: String = std::iter::once("$ seq 1 300000\n".to_owned())
        .chain((1..=300_000).map(|n| format!("{n}\n")))
        .collect();
    assert!(
        output.text() == expected,
        "{} bytes instead of {}",
        output.out.len(),
        expected.len()
    );
    bench.nothing_is_left().await
}

#[tokio::test]
async fn nobody_listening_does_not_stop_a_step() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let (sink, output) = capture();
    drop(output);
    let cancel = CancellationToken::new();
    let end = bench
        .engine
        .run_step(bench.step(["seq 1 200000", "exit 4"]), sink, &cancel)
        .await?;
    assert_eq!(end.exit, StepExit::Exited(4));
    bench.nothing_is_left().await
}

#[tokio::test]
async fn cancelling_kills_within_seconds_even_what_ignores_signals() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let (sink, output) = capture();
    let cancel = CancellationToken::new();
    let stop = async {
        eventually("the container runs", || async {
            let all = bench.engine.list(&bench.labels()).await?;
            Ok(all
                .iter()
                .any(|container| container.is_running())
                .then_some(()))
        })
        .await?;
        let began = Instant::now();
        cancel.cancel();
        anyhow::Ok(began)
    };
    let step = bench.step(["trap '' TERM INT; while true; do sleep 1; done"]);
    let (end, _, began) = tokio::join!(bench.engine.run_step(step, sink, &cancel), output, stop);
    assert_eq!(end?.exit, StepExit::Cancelled);
    assert!(began?.elapsed() < Duration::from_secs(5));
    bench.nothing_is_left().await
}

#[tokio::test]
async fn a_step_that_nobody_reads_can_still_be_stopped() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    // The receiver is alive but takes nothing.
    let (sink, _chunks) = tokio::sync::mpsc::channel(1);
    let cancel = CancellationToken::new();
    let mut step = bench.step(["yes"]);
    step.limits.time = Some(Duration::from_secs(1));
    let end = bench.engine.run_step(step, sink, &cancel).await?;
    assert_eq!(end.exit, StepExit::TimedOut);
    bench.nothing_is_left().await
}

#[tokio::test]
async fn a_dropped_step_removes_its_container() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let (sink, _chunks) = tokio::sync::mpsc::channel(1);
    let cancel = CancellationToken::new();
    let step = bench
        .engine
        .run_step(bench.step(["sleep 600"]), sink, &cancel);
    let running = eventually("the container runs", || async {
        let all = bench.engine.list(&bench.labels()).await?;
        Ok(all
            .iter()
            .any(|container| container.is_running())
            .then_some(()))
    });
    tokio::select! {
        end = step => anyhow::bail!("ended: {end:?}"),
        running = running => running?,
    }
    bench.nothing_is_left().await
}

#[tokio::test]
async fn the_time_limit_is_kept() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut step = bench.step(["echo started", "sleep 600"]);
    step.limits.time = Some(Duration::from_secs(2));
    let (end, output) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::TimedOut);
    assert!(
        end.duration >= Duration::from_secs(2) && end.duration < Duration::from_secs(7),
        "{end:?}"
    );
    assert!(output.text().contains("started\n"));
    bench.nothing_is_left().await
}

#[tokio::test]
async fn the_memory_limit_kills_and_is_named() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut step = bench.step(["head -c 200000000 /dev/zero | tail"]);
    step.limits.memory_bytes = Some(32 << 20);
    let (end, _) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::OutOfMemory);
    bench.nothing_is_left().await
}

#[tokio::test]
async fn the_process_limit_holds() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut step = bench.step(["for i in $(seq 1 50); do sleep 30 & done; echo all started"]);
    step.limits = Limits {
        pids: Some(20),
        ..Limits::default()
    };
    let (end, output) = bench.run(step).await?;
    assert!(!output.text().contains("\nall started\n"), "{output:?}");
    assert!(
        matches!(end.exit, StepExit::Exited(code) if code != 0),
        "{end:?}"
    );
    bench.nothing_is_left().await
}

#[tokio::test]
async fn a_step_has_few_privileges_but_can_install_packages() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let step = bench.step([
        "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status",
        "touch /f && chown nobody /f && su nobody -s /bin/sh -c id",
        "! mknod /dev/x b 8 0",
        "! mount -t tmpfs none /mnt",
    ]);
    let (end, output) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::Exited(0), "{output:?}");
    let text = output.text();
    assert!(text.contains("NoNewPrivs:\t1"), "{text}");
    assert!(text.contains("CapEff:\t00000000800004fb"), "{text}");
    assert!(text.contains("uid=65534"), "{text}");
    bench.nothing_is_left().await
}

#[tokio::test]
async fn a_step_runs_as_another_user() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut step = bench.step(["id -u"]);
    step.user = Some("65534:65534".to_owned());
    let (end, output) = bench.run(step).await?;
    assert_eq!(
        (end.exit, output.text().as_str()),
        (StepExit::Exited(0), "$ id -u\n65534\n")
    );
    bench.nothing_is_left().await
}

#[tokio::test]
async fn a_volume_outlives_the_step_and_networks_have_names() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let network = bench.name("net");
    bench
        .engine
        .ensure_network(&network, &bench.labels())
        .await?;
    let mount = Mount {
        volume: bench.name("cache"),
        target: "/cache".to_owned(),
        read_only: false,
        labels: bench.labels(),
    };
    for expected in [
        "$ echo x >> /cache/n; wc -l < /cache/n\n1\n",
        "$ echo x >> /cache/n; wc -l < /cache/n\n2\n",
    ] {
        let mut step = bench.step(["echo x >> /cache/n; wc -l < /cache/n"]);
        step.mounts = vec![mount.clone()];
        step.network = Some(Attachment::new(&network, ["tester"]));
        assert_eq!(bench.run(step).await?.1.text(), expected);
    }
    let mut step =
        bench.step(["ping -c 1 -W 1 tester >/dev/null 2>&1 || nslookup tester 127.0.0.11"]);
    step.network = Some(Attachment::new(&network, ["tester"]));
    let (end, output) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::Exited(0), "{output:?}");
    let removed = bench.engine.remove_labelled(&bench.labels()).await?;
    assert_eq!(
        (removed.containers, removed.networks, removed.volumes),
        (0, 1, 1)
    );
    Ok(())
}

#[tokio::test]
async fn a_program_and_an_images_own_command_run_too() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut step = bench.step([]);
    step.command = StepCommand::Argv(["env"].map(str::to_owned).to_vec());
    step.env.insert("A.B".to_owned(), "1".to_owned());
    let (end, output) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::Exited(0));
    assert!(output.text().contains("A.B=1\n"), "{output:?}");
    let mut step = bench.step([]);
    step.command = StepCommand::Image;
    assert_eq!(bench.run(step).await?.0.exit, StepExit::Exited(0));
    bench.nothing_is_left().await
}

#[tokio::test]
async fn an_absent_image_program_or_user_is_the_users_mistake() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut step = bench.step(["true"]);
    step.image = "slipway-test/nowhere:1".to_owned();
    let error = bench.run(step).await.expect_err("no such image");
    let error = error.downcast::<Error>()?;
    assert!(
        matches!(&error, Error::ImageNotFound { image, .. } if image == "slipway-test/nowhere:1"),
        "{error:?}"
    );

    let mut step = bench.step([]);
    step.command = StepCommand::Argv(vec!["/no/such/program".to_owned()]);
    let (end, output) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::Exited(127));
    assert!(
        String::from_utf8_lossy(&output.err).contains("/no/such/program"),
        "{output:?}"
    );

    let mut step = bench.step(["true"]);
    step.user = Some("stranger".to_owned());
    let error = bench
        .run(step)
        .await
        .expect_err("no such user")
        .downcast::<Error>()?;
    assert!(matches!(error, Error::CannotStart { .. }), "{error:?}");
    assert_eq!(error.class(), engine::ErrorClass::User);
    bench.nothing_is_left().await
}
