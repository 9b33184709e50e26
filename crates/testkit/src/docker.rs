//! A real Docker engine, and a tiny image that needs no registry.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result, bail, ensure};

/// The name of the tiny image.
pub const BUSYBOX: &str = "slipway-test/busybox:1";

/// Whether a Docker engine answers. If none does, the test is left out; see [`skip`](crate::skip::skip).
pub fn engine_answers() -> bool {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    let answers = *ANSWERS.get_or_init(|| docker(["version"]).is_ok());
    if !answers {
        crate::skip::skip("no Docker engine answers");
    }
    answers
}

/// Ends a test that returns `Result<()>`, successfully, where no Docker engine answers (see [`docker::engine_answers`](engine_answers)).
#[macro_export]
macro_rules! needs_docker {
    () => {
        if !$crate::docker::engine_answers() {
            return Ok(());
        }
    };
}

/// The name of a tiny image with a shell and the usual small programs, which is on the engine afterwards. It is made
/// of this machine's static busybox; where there is none, `busybox` is pulled.
pub fn busybox_image() -> Result<&'static str> {
    static MADE: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let made = MADE.get_or_init(|| make_busybox_image().map_err(|error| format!("{error:#}")));
    match made {
        Ok(()) => Ok(BUSYBOX),
        Err(error) => bail!("can't make the image {BUSYBOX}: {error}"),
    }
}

fn make_busybox_image() -> Result<()> {
    if docker(["image", "inspect", BUSYBOX]).is_ok() {
        return Ok(());
    }
    match static_busybox() {
        Some(busybox) => import(&busybox),
        None => {
            docker(["pull", "busybox"])
                .context("this machine has no static busybox (Debian: busybox-static)")?;
            docker(["tag", "busybox", BUSYBOX])
        }
    }
}

fn static_busybox() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/bin")])
        .map(|dir| dir.join("busybox"))
        .find(|file| file.is_file() && is_static(file))
}

/// Whether an ELF program (64 bit, little-endian) asks for no dynamic linker: it has no `PT_INTERP` segment.
fn is_static(program: &Path) -> bool {
    const PT_INTERP: usize = 3;
    let Ok(elf) = std::fs::read(program) else {
        return false;
    };
    let number = |at: usize, len: usize| -> Option<usize> {
        let bytes = elf.get(at..at + len)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        )
    };
    let segments = || -> Option<bool> {
        let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let mut types = (0..count).filter_map(|index| number(table + index * size, 4));
        Some(types.all(|kind| kind != PT_INTERP))
    };
    elf.starts_with(b"\x7fELF\x02\x01") && segments().unwrap_or(false)
}

/// Makes the image of a directory with busybox and a link for each of its programs.
fn import(busybox: &Path) -> Result<()> {
    let root = tempfile::tempdir()?;
    for dir in ["bin", "etc", "dev", "proc", "root", "sys", "tmp", "var"] {
        let dir = root.path().join(dir);
        std::fs::create_dir(&dir)?;
        let mode = if dir.ends_with("tmp") { 0o1777 } else { 0o755 };
        std::fs::set_permissions(&dir, Permissions::from_mode(mode))?;
    }
    std::fs::write(
        root.path().join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    )?;
    std::fs::write(
        root.path().join("etc/group"),
        "root:x:0:\nnogroup:x:65534:\n",
    )?;
    std::fs::copy(busybox, root.path().join("bin/busybox"))?;
    let programs = Command::new(busybox).arg("--list").output()?;
    for program in String::from_utf8(programs.stdout)?
        .lines()
        .filter(|name| *name != "busybox")
    {
        std::os::unix::fs::symlink("busybox", root.path().join("bin").join(program))?;
    }
    std::fs::set_permissions(root.path(), Permissions::from_mode(0o755))?;
    let mut tar = Command::new("tar")
        .args(["-c", "--owner=0", "--group=0", "-C"])
        .arg(root.path())
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .context("tar can't be started")?;
    let archive = tar.stdout.take().context("tar has no output")?;
    let imported = Command::new("docker")
        .args([
            "import",
            "--change",
            "ENV PATH=/bin",
            "--change",
            "CMD [\"sh\"]",
            "-",
            BUSYBOX,
        ])
        .stdin(archive)
        .output()?;
    ensure!(tar.wait()?.success(), "tar failed");
    ensure!(
        imported.status.success(),
        "docker import failed: {}",
        String::from_utf8_lossy(&imported.stderr)
    );
    Ok(())
}

/// Runs the `docker` command line client to its end.
fn docker<const N: usize>(arguments: [&str; N]) -> Result<()> {
    let output = Command::new("docker")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("the docker command can't be started")?;
    ensure!(
        output.status.success(),
        "docker {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
