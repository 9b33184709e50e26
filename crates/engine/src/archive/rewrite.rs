//! Copying an archive with some entries left out, moved or replaced.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use tar::{Archive, Builder, Entry, EntryType, Header};

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is copied to this path.
    Keep(PathBuf),
    /// It is left out.
    Drop,
    /// It becomes a file of this content, at its old path.
    Replace(Vec<u8>),
}

impl Verdict {
    pub(crate) fn keep_unless_empty(path: PathBuf) -> Self {
        if path.as_os_str().is_empty() {
            Self::Drop
        } else {
            Self::Keep(path)
        }
    }
}

/// Copies an archive, asking about each path.
pub(crate) fn rewrite(
    input: impl Read,
    output: impl Write,
    decide: &mut dyn FnMut(&Path) -> Verdict,
) -> io::Result<()> {
    let mut archive = Archive::new(input);
    let mut builder = Builder::new(output);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        match decide(&path) {
            Verdict::Drop => {}
            Verdict::Keep(to) => copy(&mut entry, &mut builder, &to, decide)?,
            Verdict::Replace(content) => {
                let mut header = entry.header().clone();
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, &path, content.as_slice())?;
            }
        }
    }
    builder.into_inner()?.flush()
}

fn copy<R: Read, W: Write>(
    entry: &mut Entry<'_, R>,
    builder: &mut Builder<W>,
    to: &Path,
    decide: &mut dyn FnMut(&Path) -> Verdict,
) -> io::Result<()> {
    copy_extensions(entry, builder)?;
    let mut header: Header = entry.header().clone();
    let link = entry.link_name()?.map(std::borrow::Cow::into_owned);
    match (header.entry_type(), link) {
        (EntryType::Link, Some(target)) => match decide(&target) {
            Verdict::Keep(target) => builder.append_link(&mut header, to, target),
            // What it links to is not there any more; neither is the link.
            Verdict::Drop | Verdict::Replace(_) => Ok(()),
        },
        (EntryType::Symlink, Some(target)) => builder.append_link(&mut header, to, target),
        _ => {
            header.set_size(entry.size());
            builder.append_data(&mut header, to, entry)
        }
    }
}

/// Extended attributes and exact times travel along; path and size are written anew.
fn copy_extensions<R: Read, W: Write>(
    entry: &mut Entry<'_, R>,
    builder: &mut Builder<W>,
) -> io::Result<()> {
    const WRITTEN_ANEW: [&str; 3] = ["path", "linkpath", "size"];
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(());
    };
    let kept: Vec<(String, Vec<u8>)> = extensions
        .filter_map(Result::ok)
        .filter_map(|extension| {
            Some((
                extension.key().ok()?.to_owned(),
                extension.value_bytes().to_vec(),
            ))
        })
        .filter(|(key, _)| !WRITTEN_ANEW.contains(&key.as_str()))
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    builder.append_pax_extensions(
        kept.iter()
            .map(|(key, value)| (key.as_str(), value.as_slice())),
    )
}
