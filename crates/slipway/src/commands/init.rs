//! `slipway init`.

mod language;
mod template;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use domain::ids::ServiceName;

use self::template::Found;
use crate::Verdict;
use crate::error::CliError;
use crate::output::lint::Init;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  slipway init
  slipway init services/delivery --service delivery
  slipway init --stdout                        show what would be written";

/// For which service.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// The service's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// The service's name [default: the folder's]
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,
    /// Print the file instead of writing it
    #[arg(long)]
    stdout: bool,
}

pub(super) fn init(args: &InitArgs, terminal: &Terminal) -> Result<Verdict, CliError> {
    let folder = args
        .folder
        .canonicalize()
        .map_err(|source| CliError::ReadFile {
            path: args.folder.display().to_string(),
            source,
        })?;
    let found = look_at(&folder, args.service.as_ref())?;
    let text = template::text(&found);
    if args.stdout {
        terminal.text(&text)?;
        return Ok(Verdict::Good);
    }
    let path = args.folder.join("slipway.yaml");
    let path = path.strip_prefix(".").unwrap_or(&path);
    write_new(path, &text)?;
    let document = Init {
        path: path.display().to_string(),
        service: found.service.clone(),
        language: found
            .language
            .map(|l| l.name.to_owned())
            .unwrap_or_default(),
        dockerfile: found.has_dockerfile,
    };
    terminal.answer(&document, || said(&document))?;
    Ok(Verdict::Good)
}

/// What the folder tells about its service.
fn look_at(folder: &Path, service: Option<&ServiceName>) -> Result<Found, CliError> {
    let names: Vec<String> = std::fs::read_dir(folder)
        .map_err(|source| CliError::ReadFile {
            path: folder.display().to_string(),
            source,
        })?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let dockerfile = std::fs::read_to_string(folder.join("Dockerfile")).ok();
    let folder_name = folder
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(Found {
        service: service.map_or_else(|| template::service_name(&folder_name), ToString::to_string),
        language: language::detect(&names),
        port: dockerfile.as_deref().and_then(template::exposed_port),
        has_dockerfile: dockerfile.is_some(),
    })
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let shown = path.display().to_string();
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => CliError::Refused(format!(
            "{shown} is there already and stays as it is; `slipway lint {shown}` checks it, `slipway init --stdout` \
             shows what would be written"
        )),
        _ => CliError::WriteFile { path: shown, source },
    })
}

fn said(init: &Init) -> String {
    let language = if init.language.is_empty() {
        "a language that I don't know"
    } else {
        &init.language
    };
    let mut text = format!(
        "Wrote {} for the service {} in {language}.\n",
        init.path, init.service
    );
    if !init.dockerfile {
        text.push_str("There is no Dockerfile yet: write one, it makes the image that is tested and deployed.\n");
    }
    text.push_str(&format!(
        "Next: read it, then `slipway lint {}`, commit it, and\n",
        init.path
    ));
    text.push_str("  slipway run start --repository . --ref main --wait");
    text
}
