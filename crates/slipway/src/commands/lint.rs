//! `slipway lint`.

mod files;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use domain::diagnostic::{Diagnostics, Severity};
use domain::platform::{self, PlatformSpec};
use domain::spec::{self, ServiceSpec};

use crate::Verdict;
use crate::error::CliError;
use crate::output::lint::Lint;
use crate::render::paint::Paint;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  slipway lint                                 every slipway.yaml and platform.yaml below this folder
  slipway lint slipway.yaml --platform ../platform.yaml
  slipway lint --schema slipway > slipway.schema.json

For an editor: put  # yaml-language-server: $schema=slipway.schema.json  on the first line of the file.";

/// What to check.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LintArgs {
    /// Files, or folders to look through for slipway.yaml and platform.yaml [default: this folder]; submodules and other
    /// repositories in them are left out
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The platform file whose environments the services may name
    #[arg(long, value_name = "FILE")]
    platform: Option<PathBuf>,
    /// What the named files are, where their names don't tell
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Option<FileKind>,
    /// Print the JSON Schema of a file instead, for editors
    #[arg(long, value_enum, value_name = "KIND", conflicts_with_all = ["paths", "platform", "kind"])]
    schema: Option<FileKind>,
}

/// The two files that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileKind {
    /// slipway.yaml, of a service
    Slipway,
    /// platform.yaml, of an organisation
    Platform,
}

pub(super) fn lint(args: &LintArgs, terminal: &Terminal) -> Result<Verdict, CliError> {
    match args.schema {
        Some(FileKind::Slipway) => terminal.text(&spec::json_schema())?,
        Some(FileKind::Platform) => terminal.text(&spec::platform_json_schema())?,
        None => return check(args, terminal),
    }
    Ok(Verdict::Good)
}

fn check(args: &LintArgs, terminal: &Terminal) -> Result<Verdict, CliError> {
    let mut targets = files::find(&args.paths, args.kind)?;
    if let Some(platform) = &args.platform {
        let known = targets.iter().any(|(path, _)| path == platform);
        targets.extend((!known).then(|| (platform.clone(), FileKind::Platform)));
    }
    let mut desk = Desk::default();
    // The platform first: services are checked against it.
    targets.sort_by_key(|(_, kind)| *kind == FileKind::Slipway);
    for (path, kind) in &targets {
        let text = std::fs::read(path).map_err(|source| CliError::ReadFile {
            path: path.display().to_string(),
            source,
        })?;
        let text = String::from_utf8_lossy(&text);
        match kind {
            FileKind::Platform => desk.platform(path, &text),
            FileKind::Slipway => desk.service(path, &text),
        }
    }
    desk.services_together();
    let files = targets
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    let document = Lint::of(files, &desk.found);
    terminal.answer(&document, || {
        report(&document, &desk.found, terminal.paint())
    })?;
    Ok(Verdict::good_if(document.ok))
}

/// What was read so far, and what is wrong with it.
#[derive(Default)]
struct Desk {
    found: Diagnostics,
    platform: Option<PlatformSpec>,
    services: Vec<(String, String, ServiceSpec)>,
}

impl Desk {
    fn platform(&mut self, path: &Path, text: &str) {
        let (spec, found) = platform::lint(&path.display().to_string(), text);
        self.found.extend(found);
        self.platform = spec.or(self.platform.take());
    }

    fn service(&mut self, path: &Path, text: &str) {
        let name = path.display().to_string();
        let (service, found) = spec::lint(&name, text);
        self.found.extend(found);
        let Some(service) = service else { return };
        let folder = path.parent().unwrap_or(Path::new(""));
        self.found
            .extend(spec::check_files(&name, text, &service, |file| {
                folder.join(file).exists()
            }));
        if let Some(platform) = &self.platform {
            self.found
                .extend(spec::check_environments(&name, text, &service, platform));
        }
        self.services.push((name, text.to_owned(), service));
    }

    /// A service alone can't tell whether those that it needs are elsewhere; it can only need itself.
    fn services_together(&mut self) {
        let alone = self.services.len() == 1;
        let needs_itself = |(_, _, s): &(String, String, ServiceSpec)| s.needs.contains(&s.service);
        if !alone || self.services.iter().any(needs_itself) {
            self.found.extend(spec::check_needs(&self.services));
        }
    }
}

fn report(document: &Lint, found: &Diagnostics, paint: Paint) -> String {
    let count = |severity| {
        document
            .diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let files = plural(document.files.len(), "file");
    let verdict = match (errors, warnings) {
        (0, 0) => format!(
            "{} {}: no mistakes",
            paint.good("✔"),
            names(&document.files)
        ),
        (0, warnings) => paint.attention(&format!("{} in {files}", plural(warnings, "warning"))),
        (errors, 0) => paint.bad(&format!("{} in {files}", plural(errors, "error"))),
        (errors, warnings) => paint.bad(&format!(
            "{} and {} in {files}",
            plural(errors, "error"),
            plural(warnings, "warning")
        )),
    };
    if found.is_empty() {
        verdict
    } else {
        format!("{}\n\n{verdict}", found.render(paint.is_on()))
    }
}

fn names(files: &[String]) -> String {
    const SHOWN: usize = 4;
    if files.len() <= SHOWN {
        files.join(", ")
    } else {
        plural(files.len(), "file")
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}
