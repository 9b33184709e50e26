//! Fetching from real repositories: names, errors, concurrency, and a cache that was damaged.
#![allow(clippy::unwrap_used, reason = "a test fails where it is unwrapped")]

use std::{fs, path::Path, process::Command, time::Duration};

use source::{Credential, Error, RefName, RepositoryUrl, SecretHeader, Source, SourceConfig};
use testkit::git::GitRepository;

fn source_at(cache: &Path) -> Source {
    let config = SourceConfig {
        allow_local_paths: true,
        ..SourceConfig::from_environment()
    };
    Source::new(cache, config).unwrap()
}

fn reference(name: &str) -> RefName {
    RefName::parse(name).unwrap()
}

fn url_of(repository: &GitRepository) -> RepositoryUrl {
    RepositoryUrl::parse(&repository.url()).unwrap()
}

/// The only mirror in a cache.
fn mirror_in(cache: &Path) -> std::path::PathBuf {
    let mut entries = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .find(|path| path.extension().is_some_and(|extension| extension == "git"))
        .unwrap()
}

#[tokio::test]
async fn branches_tags_and_commits_are_fetched_by_any_of_their_names() {
    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    let first = repository.head().unwrap();
    repository.tag("v1.0.0").unwrap();
    let second = repository
        .commit_files(&[("a.txt", "2")], "fix: Second\n\nBody")
        .unwrap();
    repository.annotated_tag("v1.0.1", "Release").unwrap();
    repository.branch("feature/x").unwrap();
    let third = repository.commit_files(&[("a.txt", "3")], "third").unwrap();
    let cache = tempfile::tempdir().unwrap();

    for address in [repository.url(), repository.path().display().to_string()] {
        let url = RepositoryUrl::parse(&address).unwrap();
        let source = source_at(&cache.path().join(url.name()));
        for (name, id, resolved) in [
            ("main", &second, Some("refs/heads/main")),
            ("refs/heads/main", &second, Some("refs/heads/main")),
            ("v1.0.0", &first, Some("refs/tags/v1.0.0")),
            ("v1.0.1", &second, Some("refs/tags/v1.0.1")),
            ("refs/tags/v1.0.1", &second, Some("refs/tags/v1.0.1")),
            ("feature/x", &third, Some("refs/heads/feature/x")),
            ("heads/main", &second, Some("refs/heads/main")),
            ("HEAD", &third, Some("HEAD")),
            (&first, &first, None),
            (&first[..10], &first, None),
            (&third[..12], &third, Some("refs/heads/feature/x")),
        ] {
            let commit = source.fetch(&url, &reference(name)).await.unwrap();
            assert_eq!(
                (commit.id.as_str(), commit.reference.as_deref()),
                (id.as_str(), resolved),
                "{name}"
            );
        }
        let commit = source.fetch(&url, &reference("main")).await.unwrap();
        assert_eq!(commit.subject, "fix: Second");
        assert_eq!(
            (commit.author_name.as_str(), commit.author_email.as_str()),
            ("Ada Author", "ada@example.com")
        );
        assert_eq!(commit.time.to_string(), "2026-01-01T00:01:00Z");
        assert_eq!(source.default_branch(&url).await.unwrap(), "feature/x");
    }
}

#[tokio::test]
async fn a_moved_branch_a_forced_push_and_a_renamed_branch_are_followed() {
    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    let (cache, url) = (tempfile::tempdir().unwrap(), url_of(&repository));
    let source = source_at(cache.path());
    repository.branch("topic").unwrap();
    let before = source.fetch(&url, &reference("topic")).await.unwrap();

    repository
        .git(&["commit", "--quiet", "--amend", "-m", "rewritten"])
        .unwrap();
    let after = source.fetch(&url, &reference("topic")).await.unwrap();
    assert_ne!(after.id, before.id);
    assert_eq!(after.subject, "rewritten");

    // The same name as a folder of names: Git cannot hold both at a time.
    repository
        .git(&["branch", "-m", "topic", "topic/part"])
        .unwrap();
    let renamed = source.fetch(&url, &reference("topic/part")).await.unwrap();
    assert_eq!(renamed.id, after.id);
    source
        .fetch(&url, &reference(&after.id.as_str()[..8]))
        .await
        .unwrap();

    repository.tag("v1").unwrap();
    source.fetch(&url, &reference("main")).await.unwrap();
    assert_eq!(source.tags_merged(&renamed).await.unwrap().len(), 1);
    repository.git(&["tag", "-d", "v1"]).unwrap();
    source.fetch(&url, &reference("main")).await.unwrap();
    assert_eq!(
        source.tags_merged(&renamed).await.unwrap(),
        [],
        "a deleted tag is forgotten"
    );
}

#[tokio::test]
async fn a_commit_that_is_there_needs_no_network() {
    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    let (cache, url) = (tempfile::tempdir().unwrap(), url_of(&repository));
    let source = source_at(cache.path());
    let commit = source.fetch(&url, &reference("main")).await.unwrap();
    drop(repository);

    let again = source
        .fetch(&url, &RefName::from(&commit.id))
        .await
        .unwrap();
    assert_eq!(again.id, commit.id);
    let error = source.fetch(&url, &reference("main")).await.unwrap_err();
    assert!(matches!(error, Error::RepositoryNotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_name_is_answered_with_names_that_exist() {
    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    repository.tag("v1.4.0").unwrap();
    let (cache, url) = (tempfile::tempdir().unwrap(), url_of(&repository));
    let source = source_at(cache.path());
    for (name, hint) in [
        ("mian", "did you mean \"main\"?"),
        ("refs/heads/master", "did you mean \"main\"?"),
        ("v1.4.1", "did you mean \"v1.4.0\"?"),
        ("nothing-like-it", "\"nothing-like-it\""),
        ("deadbeef", "\"deadbeef\""),
        (
            "0123456789abcdef0123456789abcdef01234567",
            "\"0123456789abcdef",
        ),
    ] {
        let error = source.fetch(&url, &reference(name)).await.unwrap_err();
        assert!(
            matches!(error, Error::RefNotFound { .. }),
            "{name}: {error:?}"
        );
        assert!(error.to_string().contains(hint), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told_apart() {
    let cache = tempfile::tempdir().unwrap();
    let source = source_at(cache.path());
    let fetch = async |address: &str| {
        source
            .fetch(&RepositoryUrl::parse(address).unwrap(), &reference("main"))
            .await
            .unwrap_err()
    };

    let error = fetch("/nonexistent/repository").await;
    assert!(
        matches!(error, Error::RepositoryNotFound { .. }),
        "{error:?}"
    );
    let error = fetch("http://127.0.0.1:9/team/orders.git").await;
    assert!(
        matches!(error, Error::Unreachable { .. }) && error.is_retryable(),
        "{error:?}"
    );
    let error = fetch("git://127.0.0.1:9/team/orders.git").await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");

    let empty = GitRepository::empty().unwrap();
    let error = fetch(&empty.url()).await;
    assert!(matches!(error, Error::EmptyRepository { .. }), "{error:?}");
    let error = source
        .fetch(&url_of(&empty), &reference("refs/heads/main"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::EmptyRepository { .. }), "{error:?}");

    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    repository.git(&["tag", "blob", "HEAD:a.txt"]).unwrap();
    let error = source
        .fetch(&url_of(&repository), &reference("blob"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotACommit { .. }), "{error:?}");

    let strict = Source::new(cache.path(), SourceConfig::from_environment()).unwrap();
    let error = strict
        .fetch(&url_of(&repository), &reference("main"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::LocalPathRefused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_silent_host_ends_in_a_timeout_and_leaves_nothing_running() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("git://{}/unanswered.git", silent.local_addr().unwrap());
    let cache = tempfile::tempdir().unwrap();
    let config = SourceConfig {
        network_timeout: Duration::from_millis(300),
        ..SourceConfig::from_environment()
    };
    let source = Source::new(cache.path(), config).unwrap();
    let url = RepositoryUrl::parse(&address).unwrap();
    let error = source.fetch(&url, &reference("main")).await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { .. }) && error.is_retryable(),
        "{error:?}"
    );
    let still_there = || {
        let listing = Command::new("ps")
            .args(["-eo", "stat,args"])
            .output()
            .unwrap()
            .stdout;
        String::from_utf8_lossy(&listing)
            .lines()
            .any(|line| line.contains(&address) && !line.starts_with('Z'))
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while still_there() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "a git outlived its time limit"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_of_one_repository_at_the_same_time_all_succeed() {
    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    for number in 0..6 {
        repository.branch(&format!("branch-{number}")).unwrap();
        repository
            .commit_files(&[("a.txt", &format!("branch {number}"))], "feat: Branch")
            .unwrap();
    }
    let (cache, url) = (tempfile::tempdir().unwrap(), url_of(&repository));
    // Two sources share the cache as two processes would: only the lock on disk is between them.
    let sources = [source_at(cache.path()), source_at(cache.path())];
    let mut fetches = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (source, url) = (sources[number % 2].clone(), url.clone());
        fetches.spawn(async move {
            let commit = source
                .fetch(&url, &reference(&format!("branch-{}", number % 6)))
                .await
                .unwrap();
            let content = source.read_file(&commit, "a.txt").await.unwrap().unwrap();
            assert_eq!(content, format!("branch {}", number % 6));
        });
    }
    while let Some(done) = fetches.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_or_deleted_cache_is_made_anew() {
    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    let (cache, url) = (tempfile::tempdir().unwrap(), url_of(&repository));
    let source = source_at(cache.path());
    let commit = source.fetch(&url, &reference("main")).await.unwrap();
    let mirror = mirror_in(cache.path());
    let damages: [(&str, &dyn Fn()); 5] = [
        ("no HEAD", &|| fs::remove_file(mirror.join("HEAD")).unwrap()),
        ("no objects", &|| {
            fs::remove_dir_all(mirror.join("objects")).unwrap();
            fs::create_dir(mirror.join("objects")).unwrap();
        }),
        ("a configuration that is not one", &|| {
            fs::write(mirror.join("config"), "[[[").unwrap();
        }),
        ("objects of zeroes", &|| {
            overwrite_objects(&mirror.join("objects"));
        }),
        ("no mirror", &|| fs::remove_dir_all(&mirror).unwrap()),
    ];
    for (what, damage) in damages {
        damage();
        let content = source
            .read_file(&commit, "a.txt")
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(content.unwrap(), "1", "{what}");
        damage();
        let fetched = source
            .fetch(&url, &reference("main"))
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(fetched.id, commit.id, "{what}");
        assert_eq!(
            source.read_file(&commit, "a.txt").await.unwrap().unwrap(),
            "1",
            "{what}"
        );
    }
    fs::write(mirror.join("packed-refs.lock"), "").unwrap();
    fs::write(mirror.join("HEAD.lock"), "").unwrap();
    repository
        .commit_files(&[("a.txt", "2")], "fix: Next")
        .unwrap();
    source.fetch(&url, &reference("main")).await.unwrap();
    assert!(
        !mirror.join("packed-refs.lock").exists(),
        "the lock of a killed git is removed"
    );
}

fn overwrite_objects(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            overwrite_objects(&path);
        } else {
            let length = fs::metadata(&path).unwrap().len() as usize;
            fs::remove_file(&path).unwrap();
            fs::write(&path, vec![0; length]).unwrap();
        }
    }
}

#[tokio::test]
async fn repositories_with_sha_256_ids_are_fetched() {
    let repository = GitRepository::with_object_format("sha256").unwrap();
    let id = repository
        .commit_files(&[("a.txt", "1")], "feat: Start")
        .unwrap();
    assert_eq!(id.len(), 64);
    let (cache, url) = (tempfile::tempdir().unwrap(), url_of(&repository));
    let source = source_at(cache.path());
    for name in ["main", "refs/heads/main", &id] {
        let commit = source.fetch(&url, &reference(name)).await.unwrap();
        assert_eq!(commit.id.as_str(), id);
        assert_eq!(
            source.read_file(&commit, "a.txt").await.unwrap().unwrap(),
            "1"
        );
    }
}

#[tokio::test]
async fn repositories_of_another_user_are_read() {
    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    let chowned = Command::new("chown")
        .args(["-R", "65534"])
        .arg(repository.path())
        .status()
        .unwrap();
    if !chowned.success() {
        eprintln!("skipped: only root can give a repository to another user");
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    source_at(cache.path())
        .fetch(&url_of(&repository), &reference("main"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_hooks_and_helpers_of_a_repository_do_not_run() {
    let repository = GitRepository::with_files(&[("a.txt", "1")]).unwrap();
    let witness = repository.path().join("witness");
    let script = format!("touch {}", witness.display());
    repository
        .git(&["config", "uploadpack.packObjectsHook", &script])
        .unwrap();
    repository
        .git(&["config", "core.fsmonitor", &script])
        .unwrap();
    repository
        .git(&["config", "core.sshCommand", &script])
        .unwrap();
    let cache = tempfile::tempdir().unwrap();
    source_at(cache.path())
        .fetch(&url_of(&repository), &reference("main"))
        .await
        .unwrap();
    assert!(!witness.exists());
}

#[tokio::test]
async fn a_secret_header_is_sent_to_its_host_only_and_never_shown() {
    let seen = |credentials: Vec<Credential>, user: &'static str| async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let credentials = credentials
            .into_iter()
            .map(|it| Credential {
                url_prefix: it.url_prefix.replace("HOST", &address.to_string()),
                ..it
            })
            .collect();
        let config = SourceConfig {
            credentials,
            ..SourceConfig::from_environment()
        };
        let cache = tempfile::tempdir().unwrap();
        let source = Source::new(cache.path(), config).unwrap();
        assert!(!format!("{source:?}").contains("s3cret"), "{source:?}");
        let url = RepositoryUrl::parse(&format!("http://{user}{address}/team/orders.git")).unwrap();
        let name = reference("main");
        let (request, error) =
            tokio::join!(answer_unauthorized(&listener), source.fetch(&url, &name));
        let error = error.unwrap_err();
        assert!(
            matches!(error, Error::AuthenticationRequired { .. }),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        request
    };
    let header = || SecretHeader::new("Authorization: Bearer s3cret");
    let own = Credential {
        url_prefix: "http://HOST/team/".to_owned(),
        header: header(),
    };
    let other = Credential {
        url_prefix: "http://elsewhere.example/".to_owned(),
        header: header(),
    };
    assert!(
        seen(vec![own], "")
            .await
            .contains("Authorization: Bearer s3cret")
    );
    assert!(!seen(vec![other], "").await.contains("Authorization"));
    assert!(
        seen(vec![], "robot:s3cret@")
            .await
            .contains("Authorization: Basic cm9ib3Q6czNjcmV0")
    );
}

/// Answers one request with 401 and returns it.
async fn answer_unauthorized(listener: &tokio::net::TcpListener) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(
            connection.read_buf(&mut request).await.unwrap(),
            0,
            "the request is not whole"
        );
    }
    let answer = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    connection.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}
