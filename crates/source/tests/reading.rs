//! Reading what was fetched: files, history, tags, archives.
#![allow(clippy::unwrap_used, reason = "a test fails where it is unwrapped")]

use std::{collections::BTreeMap, io::Read};

use futures::TryStreamExt;
use source::{Commit, CommitId, Error, LogQuery, RefName, RepositoryUrl, Source, SourceConfig};
use testkit::git::GitRepository;

struct Fixture {
    repository: GitRepository,
    source: Source,
    _cache: tempfile::TempDir,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::with_config(files, SourceConfig::from_environment())
    }

    fn with_config(files: &[(&str, &str)], config: SourceConfig) -> Self {
        let repository = GitRepository::with_files(files).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let source = Source::new(
            cache.path(),
            SourceConfig {
                allow_local_paths: true,
                ..config
            },
        )
        .unwrap();
        Self {
            repository,
            source,
            _cache: cache,
        }
    }

    async fn fetch(&self, name: &str) -> Commit {
        let url = RepositoryUrl::parse(&self.repository.url()).unwrap();
        self.source
            .fetch(&url, &RefName::parse(name).unwrap())
            .await
            .unwrap()
    }

    /// The files of an archive: path to mode and content.
    async fn unpack(
        &self,
        commit: &Commit,
        path: &str,
    ) -> Result<BTreeMap<String, (u32, String)>, Error> {
        let chunks: Vec<bytes::Bytes> = self
            .source
            .archive(commit, path)
            .await?
            .try_collect()
            .await?;
        let archive = chunks.concat();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            files.insert(path, (entry.header().mode().unwrap(), content));
        }
        Ok(files)
    }
}

#[tokio::test]
async fn a_monorepo_is_searched_for_its_services() {
    let fixture = Fixture::new(&[
        ("slipway.yaml", "service: root"),
        ("services/orders/slipway.yaml", "service: orders"),
        ("services/größe mit leer/slipway.yaml", "service: odd"),
        ("services/orders/not-slipway.yaml", ""),
        ("services/orders/*", "a star"),
    ]);
    let (source, commit) = (&fixture.source, fixture.fetch("main").await);
    let found = source.find(&commit, "slipway.yaml").await.unwrap();
    assert_eq!(
        found,
        [
            "services/größe mit leer/slipway.yaml",
            "services/orders/slipway.yaml",
            "slipway.yaml"
        ]
    );
    let listed = source
        .list_files(&commit, "./services/orders/")
        .await
        .unwrap();
    assert_eq!(
        listed,
        [
            "services/orders/*",
            "services/orders/not-slipway.yaml",
            "services/orders/slipway.yaml"
        ]
    );
    assert_eq!(
        source.list_files(&commit, "nothing").await.unwrap(),
        [""; 0]
    );
    let content = source
        .read_file(&commit, "services/größe mit leer/slipway.yaml")
        .await
        .unwrap();
    assert_eq!(content.unwrap(), "service: odd");
    assert_eq!(
        source
            .read_file(&commit, "services/orders/*")
            .await
            .unwrap()
            .unwrap(),
        "a star"
    );
}

#[tokio::test]
async fn only_files_of_a_bounded_size_are_read() {
    let config = SourceConfig {
        max_file_bytes: 10,
        ..SourceConfig::from_environment()
    };
    let fixture = Fixture::with_config(
        &[
            ("small", "0123456789"),
            ("large", "0123456789a"),
            ("folder/x", ""),
        ],
        config,
    );
    std::os::unix::fs::symlink("/etc/passwd", fixture.repository.path().join("link")).unwrap();
    fixture.repository.commit("feat: Link").unwrap();
    let (source, commit) = (&fixture.source, fixture.fetch("main").await);
    assert_eq!(
        source
            .read_file(&commit, "small")
            .await
            .unwrap()
            .unwrap()
            .len(),
        10
    );
    assert!(
        source
            .read_file(&commit, "missing")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        source
            .read_file(&commit, "small/missing")
            .await
            .unwrap()
            .is_none()
    );
    let error = source.read_file(&commit, "large").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                limit_bytes: 10,
                ..
            }
        ),
        "{error:?}"
    );
    for (path, what) in [
        ("folder", "a folder"),
        ("link", "a symbolic link"),
        (".", "the root folder"),
    ] {
        let error = source.read_file(&commit, path).await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    let error = source
        .read_file(&commit, "../../etc/passwd")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InvalidPath { .. }), "{error:?}");
}

#[tokio::test]
async fn the_history_is_cut_by_tag_and_path() {
    let fixture = Fixture::new(&[("a/x", "1"), ("b/x", "1")]);
    let repository = &fixture.repository;
    repository.annotated_tag("v1.0.0", "One").unwrap();
    repository
        .commit_files(
            &[("a/x", "2")],
            "feat: A\n\nBREAKING CHANGE: yes\nTwo lines",
        )
        .unwrap();
    repository.tag("odd/näme").unwrap();
    repository.commit_files(&[("b/x", "2")], "fix: B").unwrap();
    repository.branch("other").unwrap();
    repository.commit("chore: Elsewhere").unwrap();
    repository.tag("v9.9.9").unwrap();
    let (source, commit) = (&fixture.source, fixture.fetch("main").await);
    let subjects = async |since: Option<&str>, path: Option<&str>, limit| {
        let since = since.map(|since| RefName::parse(since).unwrap());
        let query = LogQuery {
            since,
            path: path.map(str::to_owned),
            limit,
        };
        let entries = source.log(&commit, &query).await.unwrap();
        entries
            .iter()
            .map(|entry| entry.message.lines().next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        subjects(None, None, 10).await,
        ["fix: B", "feat: A", "feat: Start"]
    );
    assert_eq!(subjects(None, None, 1).await, ["fix: B"]);
    assert_eq!(
        subjects(Some("v1.0.0"), None, 10).await,
        ["fix: B", "feat: A"]
    );
    assert_eq!(
        subjects(Some("refs/tags/v1.0.0"), Some("a"), 10).await,
        ["feat: A"]
    );
    assert_eq!(subjects(Some("odd/näme"), None, 10).await, ["fix: B"]);
    assert_eq!(subjects(Some(commit.id.as_str()), None, 10).await, [""; 0]);
    assert_eq!(
        subjects(None, Some("b"), 10).await,
        ["fix: B", "feat: Start"]
    );
    let entries = source.log(&commit, &LogQuery::default()).await.unwrap();
    assert_eq!(
        entries[1].message,
        "feat: A\n\nBREAKING CHANGE: yes\nTwo lines"
    );
    assert_eq!(entries[1].author_email, "ada@example.com");

    let unknown = LogQuery {
        since: Some(RefName::parse("v0.1.0").unwrap()),
        ..LogQuery::default()
    };
    let error = source.log(&commit, &unknown).await.unwrap_err();
    assert!(matches!(error, Error::UnknownRevision { .. }), "{error:?}");

    let tags = source.tags_merged(&commit).await.unwrap();
    let names: Vec<&str> = tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(
        names,
        ["v1.0.0", "odd/näme"],
        "a tag of another branch is not part of this one"
    );
    assert_eq!(tags[0].commit, entries[2].id, "an annotated tag is peeled");
}

#[tokio::test]
async fn two_commits_are_compared() {
    let fixture = Fixture::new(&[("a", "1"), ("b", "1")]);
    let first = CommitId::parse(&fixture.repository.head().unwrap()).unwrap();
    fixture.repository.git(&["mv", "b", "c d"]).unwrap();
    fixture
        .repository
        .commit_files(&[("a", "2")], "fix: Change")
        .unwrap();
    let (source, commit) = (&fixture.source, fixture.fetch("main").await);
    assert_eq!(
        source.changed_paths(&first, &commit).await.unwrap(),
        ["a", "b", "c d"]
    );
    assert!(source.is_ancestor(&first, &commit).await.unwrap());
    assert!(source.is_ancestor(&commit.id, &commit).await.unwrap());
    let older = source
        .fetch(&commit.url, &RefName::from(&first))
        .await
        .unwrap();
    assert!(!source.is_ancestor(&commit.id, &older).await.unwrap());
    let unknown = CommitId::parse(&"12".repeat(20)).unwrap();
    assert!(!source.is_ancestor(&unknown, &commit).await.unwrap());
    let error = source.changed_paths(&unknown, &commit).await.unwrap_err();
    assert!(matches!(error, Error::UnknownRevision { .. }), "{error:?}");
}

#[tokio::test]
async fn an_archive_has_every_file_and_the_same_bytes_each_time() {
    let attributes = "* text=auto\ntests export-ignore\nversion export-subst\n";
    let fixture = Fixture::new(&[
        (".gitattributes", attributes),
        ("tests/unit.sh", "exit 0"),
        ("services/a/tests/x", "nested"),
        ("services/.gitattributes", "tests export-ignore\n"),
        ("version", "$Format:%H$"),
    ]);
    fixture
        .repository
        .git(&["update-index", "--add", "--chmod=+x", "tests/unit.sh"])
        .unwrap();
    fixture
        .repository
        .git(&["commit", "--quiet", "-m", "executable"])
        .unwrap();
    let commit = fixture.fetch("main").await;
    let files = fixture.unpack(&commit, "").await.unwrap();
    assert_eq!(
        files["tests/unit.sh"],
        (0o755, "exit 0".to_owned()),
        "export-ignore is not for builds"
    );
    assert_eq!(files["services/a/tests/x"], (0o644, "nested".to_owned()));
    assert_eq!(files["version"].1, "$Format:%H$");

    let folder = fixture.unpack(&commit, "services/a/").await.unwrap();
    assert_eq!(folder["tests/x"].1, "nested");
    let error = fixture.unpack(&commit, "services/b").await.unwrap_err();
    assert!(matches!(error, Error::PathNotFound { .. }), "{error:?}");
    let error = fixture.unpack(&commit, "version").await.unwrap_err();
    assert!(matches!(error, Error::PathNotFound { .. }), "{error:?}");

    let bytes = async || -> Vec<bytes::Bytes> {
        fixture
            .source
            .archive(&commit, "services/a")
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap()
    };
    let first = bytes().await.concat();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert!(
        first == bytes().await.concat(),
        "the time of day does not matter"
    );
}

#[tokio::test]
async fn an_archive_is_bounded() {
    let config = SourceConfig {
        max_archive_bytes: 4096,
        ..SourceConfig::from_environment()
    };
    let fixture = Fixture::with_config(&[("large", &"x".repeat(1 << 20))], config);
    let commit = fixture.fetch("main").await;
    let error = fixture.unpack(&commit, "").await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_tree_that_would_leave_its_folder_is_not_unpacked() {
    let fixture = Fixture::new(&[("a", "1")]);
    let repository = &fixture.repository;
    let blob = repository.git(&["rev-parse", "HEAD:a"]).unwrap();
    // `git mktree` checks nothing of the kind.
    let listing = repository.path().join("listing");
    std::fs::write(&listing, format!("100644 blob {}\tevil\n", blob.trim())).unwrap();
    let script =
        "tree=$(git mktree < listing) && printf '040000 tree %s\\t..\\n' $tree | git mktree";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(repository.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let commit = repository
        .git(&["commit-tree", "-m", "evil", tree.trim()])
        .unwrap();
    repository
        .git(&["update-ref", "refs/heads/evil", commit.trim()])
        .unwrap();
    let commit = fixture.fetch("evil").await;
    let error = fixture.unpack(&commit, "").await.unwrap_err();
    assert!(matches!(error, Error::HostilePath { .. }), "{error:?}");
}
