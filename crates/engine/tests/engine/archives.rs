use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use engine::{Error, StepExit, bytes_stream, collect, labels, reroot, tar_files};

use crate::setup::Bench;

fn contents(archive: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let mut text = String::new();
        let path = entry.path()?.display().to_string();
        if entry.header().entry_type().is_file() {
            entry.read_to_string(&mut text)?;
        } else if let Some(target) = entry.link_name()? {
            text = format!("-> {}", target.display());
        }
        files.insert(path.trim_end_matches('/').to_owned(), text);
    }
    Ok(files)
}

#[tokio::test]
async fn a_kept_container_can_be_read_and_committed_without_its_secrets() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut step = bench.step([
        "mkdir sub && echo built > sub/result && ln sub/result hard && ln -s sub/result soft",
    ]);
    step.workdir = Some("/src/app".to_owned());
    step.env
        .insert("TOKEN".to_owned(), "s3cr3t-value".to_owned());
    step.keep = true;
    let (end, output) = bench.run(step).await?;
    assert_eq!(end.exit, StepExit::Exited(0), "{output:?}");
    let container = end.container.context("it was kept")?;

    let archive = collect(
        bench.engine.download(&container, "/src/app/sub").await?,
        1 << 20,
    )
    .await?;
    assert_eq!(contents(&archive)?["sub/result"], "built\n");
    let error = bench
        .engine
        .download(&container, "/nowhere")
        .await
        .err()
        .context("no such path")?;
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");

    let reference = format!("slipway-test/{}:ws", bench.run);
    let labels = labels::of([("org.example.kind", "workspace")]);
    let id = bench.engine.commit(&container, &reference, &labels).await?;
    bench.engine.remove(&container).await?;
    let image = bench.engine.inspect_image(&reference).await?;
    assert_eq!((image.id, image.workdir.as_str()), (id, "/src/app"));
    assert_eq!(image.labels["org.example.kind"], "workspace");
    assert_eq!(image.labels.get(labels::RUN).map(String::as_str), Some(""));
    let config = std::process::Command::new("docker")
        .args(["image", "inspect", &reference])
        .output()?;
    assert!(!String::from_utf8_lossy(&config.stdout).contains("s3cr3t-value"));

    let workspace = collect(
        bench.engine.image_tar(&reference, "/src/app").await?,
        1 << 20,
    )
    .await?;
    let files = contents(&workspace)?;
    assert_eq!(files["soft"], "-> sub/result");
    // Which of the two is the file and which the link is up to the engine.
    let pair = (files["hard"].as_str(), files["sub/result"].as_str());
    assert!(
        matches!(pair, ("built\n", "-> hard") | ("-> sub/result", "built\n")),
        "{files:?}"
    );
    let whole = collect(bench.engine.image_tar(&reference, "/").await?, 64 << 20).await?;
    let whole = tar::Archive::new(whole.as_ref())
        .entries()?
        .map(|entry| Ok(entry?.path()?.display().to_string()))
        .collect::<Result<Vec<_>>>()?;
    assert!(
        whole
            .iter()
            .any(|path| path.ends_with("src/app/sub/result")),
        "{whole:?}"
    );

    let (end, output) = bench
        .run(engine::StepSpec {
            labels: bench.labels(),
            ..engine::StepSpec::shell(&reference, ["cat sub/result", "echo TOKEN=$TOKEN"])
        })
        .await?;
    assert_eq!(end.exit, StepExit::Exited(0));
    assert!(
        output.text().contains("built\n") && output.text().contains("\nTOKEN=\n"),
        "{output:?}"
    );
    bench.engine.remove_image(&reference).await?;
    assert!(!bench.engine.has_image(&reference).await?);
    bench.nothing_is_left().await
}

#[tokio::test]
async fn an_archive_half_read_leaves_no_container() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let before = containers_of_busybox()?;
    drop(
        bench
            .engine
            .image_tar(testkit::docker::BUSYBOX, "/bin")
            .await?,
    );
    let error = bench
        .engine
        .image_tar(testkit::docker::BUSYBOX, "/nowhere")
        .await
        .err()
        .context("no such path")?;
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    bench.engine.close().await;
    let left: Vec<String> = containers_of_busybox()?
        .into_iter()
        .filter(|id| !before.contains(id))
        .collect();
    // Those of other tests, which run beside this one, go by themselves.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    for id in left {
        while was_never_meant_to_run(&id)? {
            ensure!(tokio::time::Instant::now() < deadline, "{id} stays");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Whether a container is there to be read, and not to run.
fn was_never_meant_to_run(id: &str) -> Result<bool> {
    let format = "{{.State.Status}} {{index .Config.Entrypoint 0}}";
    let inspected = std::process::Command::new("docker")
        .args(["inspect", "-f", format, id])
        .output()?;
    Ok(String::from_utf8_lossy(&inspected.stdout).starts_with("created /\n"))
}

fn containers_of_busybox() -> Result<Vec<String>> {
    let filter = format!("ancestor={}", testkit::docker::BUSYBOX);
    let listed = std::process::Command::new("docker")
        .args(["ps", "-aq", "--filter", &filter])
        .output()?;
    Ok(String::from_utf8(listed.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

#[tokio::test]
async fn large_archives_are_rerooted_in_pieces() -> Result<()> {
    let big = vec![b'z'; 20 << 20];
    let files = BTreeMap::from([
        ("top/big".to_owned(), big),
        ("top/small".to_owned(), b"s".to_vec()),
    ]);
    let archive = collect(reroot(bytes_stream(tar_files(&files)?)), 64 << 20).await?;
    let files = contents(&archive)?;
    assert_eq!(files["big"].len(), 20 << 20);
    assert_eq!(files["small"], "s");
    Ok(())
}
