use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use engine::{
    BuildSpec, BuiltImage, Context, Credentials, Engine, Error, Secret, StepExit, StepSpec,
    bytes_stream, labels, tar_files,
};
use testkit::registry::TestRegistry;
use tokio_util::sync::CancellationToken;

use crate::setup::{Bench, Output, capture};

fn spec(files: &[(&str, &str)]) -> Result<BuildSpec> {
    let files: BTreeMap<String, Vec<u8>> = files
        .iter()
        .map(|(path, content)| {
            (
                (*path).to_owned(),
                content
                    .replace("BASE", testkit::docker::BUSYBOX)
                    .into_bytes(),
            )
        })
        .collect();
    Ok(BuildSpec::new(Context::Stream(bytes_stream(tar_files(
        &files,
    )?))))
}

async fn build(engine: &Engine, spec: BuildSpec) -> (Result<BuiltImage, Error>, Output) {
    let (sink, output) = capture();
    let cancel = CancellationToken::new();
    tokio::join!(engine.build_image(spec, sink, &cancel), output)
}

/// What the image prints.
async fn printed(bench: &Bench, image: &str, line: &str) -> Result<String> {
    let step = StepSpec {
        labels: bench.labels(),
        ..StepSpec::shell(image, [line])
    };
    let (end, output) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::Exited(0), "{output:?}");
    Ok(output.text().lines().skip(1).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn targets_arguments_labels_and_tags_are_honoured_and_steps_cached() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let dockerfile = format!(
        "FROM BASE AS one\nARG STAMP\nRUN echo {run} $STAMP > /stamp\nCOPY a.txt /\nFROM one AS two\nRUN false\n",
        run = bench.run
    );
    let files = [("ci/Dockerfile", dockerfile.as_str()), ("a.txt", "a")];
    let tags = [
        format!("slipway-test/{}:1", bench.run),
        format!("slipway-test/{}:2", bench.run),
    ];
    let make = || -> Result<BuildSpec> {
        let mut spec = spec(&files)?;
        spec.dockerfile = "ci/Dockerfile".to_owned();
        spec.target = Some("one".to_owned());
        spec.args.insert("STAMP".to_owned(), "7&8 =9".to_owned());
        spec.labels = labels::of([("org.example.kind", "test")]);
        spec.tags = tags.to_vec();
        Ok(spec)
    };
    let (built, output) = build(&bench.engine, make()?).await;
    let built = built?;
    assert!(
        output.text().contains("RUN echo") && output.text().contains("DONE"),
        "{}",
        output.text()
    );
    for tag in &tags {
        let info = bench.engine.inspect_image(tag).await?;
        assert_eq!(info.id, built.id);
        assert_eq!(info.labels["org.example.kind"], "test");
    }
    assert_eq!(
        printed(&bench, &tags[1], "cat /stamp").await?,
        format!("{} 7&8 =9", bench.run)
    );

    let (again, output) = build(&bench.engine, make()?).await;
    let again = again?;
    assert_eq!(again.id, built.id);
    assert!(
        again.cached_steps >= 2 && again.cached_steps <= again.steps,
        "{again:?}"
    );
    assert!(output.text().contains("CACHED"), "{}", output.text());
    let mut anew = make()?;
    anew.no_cache = true;
    let (anew, _) = build(&bench.engine, anew).await;
    assert!(anew?.cached_steps < again.cached_steps);
    for image in tags.iter().chain([&built.id]) {
        bench.engine.remove_image(image).await?;
    }
    bench.nothing_is_left().await
}

#[tokio::test]
async fn a_cache_mount_outlives_the_build() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    for expected in ["n=1", "n=2"] {
        let dockerfile = format!(
            "FROM BASE\nRUN --mount=type=cache,target=/c,id={run} : {expected}; echo x >> /c/n; echo n=$(wc -l < /c/n)\n",
            run = bench.run
        );
        let spec = spec(&[("Dockerfile", &dockerfile)])?;
        let (built, output) = build(&bench.engine, spec).await;
        bench.engine.remove_image(&built?.id).await?;
        assert!(
            output.text().contains(&format!(" {expected}\n")),
            "{}",
            output.text()
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_secret_reaches_its_step_and_nothing_else() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let dockerfile = "FROM BASE\nRUN --mount=type=secret,id=token,required=true sha256sum /run/secrets/token; echo done\n";
    let mut with = spec(&[("Dockerfile", dockerfile)])?;
    with.no_cache = true;
    with.secrets
        .insert("token".to_owned(), Secret::new("s3cr3t"));
    let (built, output) = build(&bench.engine, with).await;
    let id = built?.id;
    let sum = "4e738ca5563c06cfd0018299933d58db1dd8bf97f6973dc99bf6cdc64b5550bd";
    assert!(output.text().contains(sum), "{}", output.text());
    assert_eq!(printed(&bench, &id, "find / -xdev -name token").await?, "");
    bench.engine.remove_image(&id).await?;

    let mut without = spec(&[("Dockerfile", dockerfile)])?;
    without.no_cache = true;
    let (failed, _) = build(&bench.engine, without).await;
    assert!(
        matches!(failed, Err(Error::BuildFailed { .. })),
        "{failed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_users_mistakes_are_told_as_such() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let cases = [
        ("FROM BASE\nRUNN true\n", "unknown instruction: RUNN"),
        ("", "empty"),
        ("FROM BASE\nRUN echo the reason; exit 3\n", "the reason"),
        ("FROM BASE\nRUN exit 3\n", "exit code: 3"),
        ("FROM BASE\nCOPY absent.txt /\n", "absent.txt"),
        ("FROM BASE\nCOPY --from=nostage /a /a\n", "nostage"),
        ("FROM BASE AS a\nWORKDIR\n", "WORKDIR"),
    ];
    for (dockerfile, expected) in cases {
        let (built, output) = build(&bench.engine, spec(&[("Dockerfile", dockerfile)])?).await;
        let error = built.expect_err(dockerfile);
        let told = error.to_string();
        if dockerfile.contains("nostage") {
            // It may be an image's name as well, and that one can't be pulled here.
            assert!(
                matches!(
                    error,
                    Error::PullFailed { .. } | Error::ImageNotFound { .. }
                ),
                "{error:?}"
            );
        } else {
            assert!(
                matches!(error, Error::BuildFailed { .. }),
                "{dockerfile:?}: {error:?}"
            );
        }
        assert!(
            told.contains(expected),
            "{dockerfile:?}: {told}\n{output:?}"
        );
    }
    let mut wrong_target = spec(&[("Dockerfile", "FROM BASE AS one\n")])?;
    wrong_target.target = Some("two".to_owned());
    let (built, _) = build(&bench.engine, wrong_target).await;
    assert!(
        matches!(&built, Err(Error::BuildFailed { message }) if message.contains("two")),
        "{built:?}"
    );
    let (built, _) = build(&bench.engine, spec(&[("other", "")])?).await;
    assert!(
        matches!(&built, Err(Error::BuildFailed { message }) if message.contains("no Dockerfile")),
        "{built:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_base_image_needs_its_registry_and_its_credentials() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut registry = TestRegistry::start_with_login().await?;
    let login = Credentials {
        username: TestRegistry::USERNAME.to_owned(),
        password: Secret::new(TestRegistry::PASSWORD),
    };
    let base = format!("{}/base/{}:1", registry.address(), bench.run);
    bench.engine.tag(testkit::docker::BUSYBOX, &base).await?;
    bench.engine.push(&base, Some(&login), None).await?;
    bench.engine.remove_image(&base).await?;
    let dockerfile = format!("FROM {base}\nRUN echo {}\n", bench.run);
    let make = |name: &str| -> Result<BuildSpec> {
        let mut spec = spec(&[("Dockerfile", &dockerfile.replace("base/", name))])?;
        spec.credentials.insert(registry.address(), login.clone());
        Ok(spec)
    };
    let (built, output) = build(&bench.engine, make("base/")?).await;
    bench
        .engine
        .remove_image(
            &built
                .map_err(|error| anyhow::anyhow!("{error}: {output:?}"))?
                .id,
        )
        .await?;
    let (absent, _) = build(&bench.engine, make("absent/")?).await;
    assert!(
        matches!(absent, Err(Error::ImageNotFound { .. })),
        "{absent:?}"
    );
    let away = make("away/")?;
    registry.stop().await?;
    let (away, _) = build(&bench.engine, away).await;
    assert!(
        matches!(&away, Err(Error::PullFailed { image, .. }) if image.contains("away/")),
        "{away:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_frontend_that_cannot_be_pulled_is_done_without() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut registry = TestRegistry::start().await?;
    let frontend = format!("{}/docker/dockerfile:1", registry.address());
    registry.stop().await?;
    let dockerfile = format!(
        "# syntax={frontend}\nFROM BASE\nRUN echo built {}\n",
        bench.run
    );
    let (built, output) = build(&bench.engine, spec(&[("Dockerfile", &dockerfile)])?).await;
    let built = built.map_err(|error| anyhow::anyhow!("{error}: {output:?}"))?;
    assert!(
        String::from_utf8_lossy(&output.err).contains(&frontend),
        "{output:?}"
    );
    bench.engine.remove_image(&built.id).await?;

    let dockerfile = format!("# syntax={frontend}\nFROM BASE\nNOVELTY x\n");
    let (failed, _) = build(&bench.engine, spec(&[("Dockerfile", &dockerfile)])?).await;
    let message = failed.expect_err("an unknown instruction").to_string();
    assert!(
        message.contains("NOVELTY") && message.contains(&frontend),
        "{message}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_ignored_does_not_reach_the_image() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let files = [
        ("Dockerfile", "FROM BASE\nCOPY . /ctx\n"),
        (".dockerignore", "**/*.log\nnode_modules\n!keep.log\n"),
        ("a.log", ""),
        ("deep/b.log", ""),
        ("keep.log", ""),
        ("node_modules/x/y", ""),
        ("src/main", ""),
    ];
    let (built, _) = build(&bench.engine, spec(&files)?).await;
    let id = built?.id;
    let found = printed(&bench, &id, "cd /ctx; find . -type f | sort").await?;
    assert_eq!(
        found,
        "./.dockerignore\n./Dockerfile\n./keep.log\n./src/main"
    );
    bench.engine.remove_image(&id).await?;
    Ok(())
}

#[tokio::test]
async fn a_build_can_be_cancelled_and_has_a_time_limit() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    // A number that no other process on this machine sleeps.
    let seconds = 100_000 + u64::from(std::process::id());
    let dockerfile = format!("FROM BASE\nRUN echo started; sleep {seconds}\n");
    let cancel = CancellationToken::new();
    let (sink, mut chunks) = tokio::sync::mpsc::channel::<engine::OutputChunk>(16);
    let mut uncached = spec(&[("Dockerfile", &dockerfile)])?;
    uncached.no_cache = true;
    let watch = async {
        let mut text = String::new();
        while let Some(chunk) = chunks.recv().await {
            text.push_str(&String::from_utf8_lossy(&chunk.bytes));
            if text.contains(" started\n") {
                cancel.cancel();
            }
        }
        Instant::now()
    };
    let (built, _) = tokio::join!(bench.engine.build_image(uncached, sink, &cancel), watch);
    assert!(matches!(built, Err(Error::Cancelled { .. })), "{built:?}");
    crate::setup::eventually("the step is killed", || async {
        Ok((!sleeps(seconds)?).then_some(()))
    })
    .await?;

    let mut limited = spec(&[("Dockerfile", &dockerfile)])?;
    limited.no_cache = true;
    limited.limit = Some(Duration::from_secs(3));
    let (built, _) = build(&bench.engine, limited).await;
    assert!(matches!(built, Err(Error::TimedOut { .. })), "{built:?}");
    crate::setup::eventually("the step is killed", || async {
        Ok((!sleeps(seconds)?).then_some(()))
    })
    .await
}

/// Whether a process of this machine sleeps for so many seconds.
fn sleeps(seconds: u64) -> Result<bool> {
    let wanted = format!("sleep\0{seconds}\0").into_bytes();
    for process in std::fs::read_dir("/proc")? {
        if std::fs::read(process?.path().join("cmdline")).is_ok_and(|line| line == wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}
