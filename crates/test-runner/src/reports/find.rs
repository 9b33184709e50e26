//! Fetches report files out of a container that ended, without holding more of it than one file.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use engine::{ByteStream, ContainerId, Engine};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::pattern::Pattern;
use super::{Report, junit};

/// A larger report is not read.
const MAX_FILE_BYTES: u64 = 32 << 20;
/// Files read for one stage.
const MAX_FILES: usize = 2_000;
/// How long looking through one folder may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Reads the reports that the tests wrote. Returns what they say, if there is one, and notes for the log.
///
/// A file that is older than the container is none of these tests' and is passed over: it came with the workspace.
pub(crate) async fn reports(
    engine: &Engine,
    container: &ContainerId,
    patterns: &[String],
) -> (Option<Report>, Vec<String>) {
    let started = match engine.inspect(container).await {
        Ok(Some(info)) => info.started_at.map_or(0, |at| at.as_second()),
        _ => 0,
    };
    let mut found = Found {
        started: u64::try_from(started).unwrap_or(0),
        ..Found::default()
    };
    for text in patterns {
        let pattern = match Pattern::parse(text) {
            Ok(pattern) => pattern,
            Err(why) => {
                found.notes.push(why);
                continue;
            }
        };
        let before = found.seen.len();
        match engine.download(container, &pattern.fetch).await {
            Ok(archive) => found = found.look_through(archive, pattern).await,
            Err(engine::Error::NotFound { .. }) => {}
            Err(error) => found
                .notes
                .push(format!("the reports {text} can't be fetched: {error}")),
        }
        if found.seen.len() == before {
            found.notes.push(format!(
                "there is no report {text}; `reports` in slipway.yaml names it"
            ));
        }
    }
    (found.report, found.notes)
}

#[derive(Default)]
struct Found {
    /// When the tests began, in seconds by the engine's clock.
    started: u64,
    report: Option<Report>,
    seen: BTreeSet<String>,
    notes: Vec<String>,
}

impl Found {
    /// Parsing is work for a thread that may block; the archive comes to it piece by piece.
    async fn look_through(mut self, mut archive: ByteStream, pattern: Pattern) -> Self {
        let (pieces, received) = mpsc::channel(4);
        let text = pattern.text.clone();
        let parse = tokio::task::spawn_blocking(move || {
            let ended = self.read(
                Pieces {
                    received,
                    current: Bytes::new(),
                },
                &pattern,
            );
            if let Err(error) = ended {
                self.notes.push(format!(
                    "not all of the reports {} could be read: {error}",
                    pattern.text
                ));
            }
            self
        });
        let feed = async {
            while let Some(piece) = archive.next().await {
                if pieces.send(piece).await.is_err() {
                    break;
                }
            }
        };
        let in_time = tokio::time::timeout(LIMIT, feed).await.is_ok();
        drop(pieces);
        let mut found = match parse.await {
            Ok(found) => found,
            Err(error) => Self {
                notes: vec![format!("the reports {text} could not be read: {error}")],
                ..Self::default()
            },
        };
        if !in_time {
            found.notes.push(format!(
                "looking for {text} took too long; name a smaller folder in `reports`"
            ));
        }
        found
    }

    fn read(&mut self, archive: impl Read, pattern: &Pattern) -> std::io::Result<()> {
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let Some(path) = pattern.path_of(&entry.path()?.to_string_lossy()) else {
                continue;
            };
            if self.seen.len() >= MAX_FILES {
                self.notes
                    .push(format!("only the first {MAX_FILES} reports were read"));
                return Ok(());
            }
            if !self.seen.insert(path.clone()) {
                continue;
            }
            if entry.header().mtime()? < self.started {
                self.notes
                    .push(format!("{path} is older than these tests and was not read"));
            } else if entry.size() > MAX_FILE_BYTES {
                self.notes.push(format!(
                    "{path} is larger than {} MiB and was not read",
                    MAX_FILE_BYTES >> 20
                ));
            } else {
                let mut xml = Vec::new();
                entry.read_to_end(&mut xml)?;
                match junit::parse(&xml) {
                    Ok(report) => self.report.get_or_insert_default().add(report),
                    Err(why) => self.notes.push(format!("{path} can't be read: {why}")),
                }
            }
        }
        Ok(())
    }
}

/// Pieces of an archive as something to read from a thread that may block.
struct Pieces {
    received: mpsc::Receiver<std::io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.received.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
