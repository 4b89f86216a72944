//! Copies of models that load faster and whose weights are pages of a file: graphs rewritten for our
//! own operators, or else graphs as ONNX Runtime has them after optimizing and packing. The latter
//! save memory more than time: ONNX Runtime 1.31.1 finds what was packed by a hash of it, so it
//! packs at every load.
//!
//! A copy fits one version of ONNX Runtime, one kind of processor, kernels that are ours or not,
//! and one state of the files it was made from; its name in the cache directory is a digest of all
//! that. Who makes copies and when they go is decided elsewhere.

mod attempts;
mod proof;
pub(crate) mod seal;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use airunner_core::{ErrorKind, Fault};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ComputeError;
use super::rewritten::RewriteError;
use super::session::Model;
use crate::onnx;
use crate::operators::weights::WEIGHTS_FILE;
use crate::package::{MANIFEST, Package, PackageError};
use crate::{Kernels, LoadOptions};
use proof::Sample;
use seal::{SealError, Seals};

/// Raised when copies are written in another way than before.
const FORM: u32 = 7;
const GRAPH: &str = "model.onnx";
const WEIGHTS: &str = "model.onnx.data";
const ENTRY: &str = "entry.json";
/// Its time is that of the last use.
const USED: &str = "used";
/// What lies beside a copy and says nothing of what it computes. Its entry does: it holds the
/// checksums of all files.
pub(crate) const ABOUT: [&str; 1] = [USED];
/// How copies that are not finished begin.
pub const UNFINISHED: &str = ".incoming-";
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// What a finished copy says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What the model is called.
    pub model: String,
    /// The package it was made from.
    pub directory: PathBuf,
    pub variant: String,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    entry: Entry,
    /// What its files were, apart from the packed weights, whose index says that.
    sealed: Seals,
}

/// A copy in the cache directory.
#[derive(Clone, Debug)]
pub struct Copied {
    pub path: PathBuf,
    pub entry: Entry,
    pub bytes: u64,
    pub used: SystemTime,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepackError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Compute(#[from] ComputeError),
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("a packed copy of {variant} would not compute what the original does")]
    Different { variant: String },
}

impl From<PrepackError> for Fault {
    fn from(error: PrepackError) -> Self {
        let kind = match &error {
            PrepackError::Package(error) => error.kind(),
            PrepackError::Compute(error) => error.kind(),
            PrepackError::Rewrite(error) => error.kind(),
            PrepackError::Different { .. } => ErrorKind::ModelIncompatible,
            PrepackError::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorKind::DiskFull
            }
            PrepackError::File { .. } | PrepackError::Seal(_) => ErrorKind::Internal,
        };
        Self::new(kind, airunner_core::error::chain(&error))
    }
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrepackError {
    let path = path.to_owned();
    move |source| PrepackError::File { action, path, source }
}

/// Whether the package in a directory is one that can be copied.
#[must_use]
pub fn is_possible(directory: &Path) -> bool {
    #[cfg(feature = "fake-runtime")]
    if matches!(crate::fake::inspect(directory), Ok(Some(_)) | Err(_)) {
        return false;
    }
    directory.is_dir()
}

/// Makes the copy of a model's variant, if there is none, and returns where it is; copies of an
/// earlier state of the same variant go. Takes the memory of a load and the packed weights once
/// more, and up to three times the weights on disk; blocks for seconds to minutes.
pub fn prepack(options: &LoadOptions, model: &str, cache: &Path) -> Result<PathBuf, Fault> {
    super::allocator::keep_little();
    let package = Package::open_variant(&options.directory, options.variant.as_deref())?;
    // The key holds the version of ONNX Runtime, which is known once it is loaded.
    super::session::ready(&options.onnxruntime_library)?;
    let finished = cache.join(key_of(&package, options.kernels, &Machine::this())?);
    if described(&finished).is_some() {
        return Ok(finished);
    }
    let building = cache.join(unfinished());
    let entry = Entry {
        model: model.to_owned(),
        directory: package.files().root().to_owned(),
        variant: package.variant().to_owned(),
    };
    let built = build(&package, options, &entry, &building, &finished);
    if built.is_err() {
        drop(fs::remove_dir_all(&building));
    }
    built?;
    for stale in copies(cache) {
        if stale.entry == entry && stale.path != finished {
            drop(fs::remove_dir_all(&stale.path));
        }
    }
    Ok(finished)
}

/// A name that no other thread or process builds under.
fn unfinished() -> String {
    static BUILT: AtomicU64 = AtomicU64::new(0);
    let number = BUILT.fetch_add(1, Ordering::Relaxed);
    format!("{UNFINISHED}{}-{number}", std::process::id())
}

fn build(
    package: &Package,
    options: &LoadOptions,
    entry: &Entry,
    building: &Path,
    finished: &Path,
) -> Result<(), PrepackError> {
    drop(fs::remove_dir_all(building));
    fs::create_dir_all(building).map_err(at("create", building))?;
    if !attempts::rewrite(package, options, building)? {
        compare(package, options, &building.join(GRAPH))?;
    }
    let sealed = Sealed {
        entry: entry.clone(),
        sealed: seal::seal(building, &[WEIGHTS_FILE])?,
    };
    let text = serde_json::to_vec_pretty(&sealed).map_err(io::Error::other);
    let described = building.join(ENTRY);
    text.and_then(|text| fs::write(&described, text))
        .map_err(at("write", &described))?;
    persist(building)?;
    publish(building, finished)
}

/// Gives a copy its name, unless somebody else made the same one meanwhile.
fn publish(building: &Path, finished: &Path) -> Result<(), PrepackError> {
    let is_there = || described(finished).is_some();
    // What a deletion that was cut off left there.
    if !is_there() && finished.exists() {
        fs::remove_dir_all(finished).map_err(at("delete", finished))?;
    }
    if !is_there() {
        match fs::rename(building, finished) {
            Ok(()) => return sync(finished.parent().unwrap_or(finished)),
            Err(_) if is_there() => {}
            Err(error) => return Err(at("publish", finished)(error)),
        }
    }
    fs::remove_dir_all(building).map_err(at("delete", building))
}

/// Writes the copy and looks whether it computes what the original does: a copy that loads and
/// says something else would be the worst of all.
fn compare(package: &Package, options: &LoadOptions, graph: &Path) -> Result<(), PrepackError> {
    let mut original = Model::open_and_copy(package, options, graph, WEIGHTS)?;
    let expected = Sample::of(&mut original, package)?;
    drop(original);
    let mut copy = Model::open_copy(package, options, graph)?;
    if Sample::of(&mut copy, package)?.is_same(&expected) {
        return Ok(());
    }
    Err(PrepackError::Different {
        variant: package.variant().to_owned(),
    })
}

/// Everything in a directory is on the disk afterwards.
fn persist(directory: &Path) -> Result<(), PrepackError> {
    for entry in fs::read_dir(directory).map_err(at("read", directory))? {
        sync(&entry.map_err(at("read", directory))?.path())?;
    }
    sync(directory)
}

fn sync(path: &Path) -> Result<(), PrepackError> {
    File::open(path)
        .and_then(|opened| opened.sync_all())
        .map_err(at("write", path))
}

/// All finished copies in a cache directory.
#[must_use]
pub fn copies(cache: &Path) -> Vec<Copied> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    entries.filter_map(|entry| described(&entry.path())).collect()
}

/// What lies in a cache directory and is no finished copy: some that were never finished, or that
/// were not deleted to the end. Those in the making are among them.
#[must_use]
pub fn leftovers(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let is_left = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(UNFINISHED) || (is_key(&name) && described(&entry.path()).is_none())
    };
    let left = entries.filter(is_left);
    left.map(|entry| entry.path()).collect()
}

/// Whether a copy could have this name.
fn is_key(name: &str) -> bool {
    const DIGITS: usize = 64;
    name.len() == DIGITS && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn described(path: &Path) -> Option<Copied> {
    let entry = serde_json::from_slice(&fs::read(path.join(ENTRY)).ok()?).ok()?;
    let is_unfinished = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED));
    if is_unfinished {
        return None;
    }
    let mut bytes = 0_u64;
    for file in fs::read_dir(path).ok()?.flatten() {
        bytes = bytes.saturating_add(file.metadata().map_or(0, |metadata| metadata.len()));
    }
    let time = |name: &str| fs::metadata(path.join(name)).and_then(|metadata| metadata.modified());
    Some(Copied {
        path: path.to_owned(),
        entry,
        bytes,
        used: time(USED)
            .or_else(|_| time(ENTRY))
            .unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

/// A copy that fits, before it has been opened.
pub(crate) struct Fitting(PathBuf);

pub(crate) fn existing(package: &Package, options: &LoadOptions, cache: &Path) -> Option<Fitting> {
    match key_of(package, options.kernels, &Machine::this()) {
        Ok(key) => Some(cache.join(key))
            .filter(|path| path.join(ENTRY).is_file())
            .map(Fitting),
        Err(error) => {
            tracing::debug!(%error, "whether there is a packed copy cannot be told");
            None
        }
    }
}

impl Fitting {
    /// Whether all its files are what they were, but for packed weights, which are looked at when
    /// they are opened.
    pub(crate) fn check(&self, threads: usize) -> Result<(), SealError> {
        let path = self.0.join(ENTRY);
        let text = fs::read(&path).map_err(|source| SealError::Read { path, source })?;
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|_| SealError::Unsealed)?;
        seal::check(&self.0, &sealed.sealed, threads)
    }

    pub(crate) fn graph(&self) -> PathBuf {
        self.0.join(GRAPH)
    }

    /// What to make of the attempt to open it: a copy that is damaged is deleted; one that does
    /// not open for another reason, such as too little memory, is as good as before.
    pub(crate) fn judge<T>(self, opened: Result<T, ComputeError>) -> Option<T> {
        let error = match opened {
            Ok(opened) => {
                if let Err(error) = fs::write(self.0.join(USED), []) {
                    tracing::debug!(%error, "the use of a packed copy is not noted");
                }
                return Some(opened);
            }
            Err(error) => error,
        };
        let copy = self.0.display();
        if !error.is_damage() {
            tracing::warn!(%copy, %error, "a packed copy does not open now; the original is loaded");
            return None;
        }
        tracing::warn!(%copy, %error, "a packed copy is damaged and is deleted; the original is loaded");
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%copy, %error, "it cannot be deleted");
        }
        None
    }
}

/// What a copy fits beside its package.
struct Machine {
    form: u32,
    onnxruntime: String,
    processor: String,
}

impl Machine {
    /// ONNX Runtime must have been loaded.
    fn this() -> Self {
        Self {
            form: FORM,
            onnxruntime: ort::info().to_owned(),
            processor: processor(),
        }
    }
}

fn key_of(package: &Package, kernels: Kernels, machine: &Machine) -> Result<String, PrepackError> {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    };
    add(&machine.form.to_string());
    add(&machine.onnxruntime);
    add(&machine.processor);
    // What is packed for our kernels is the same whatever instructions they use.
    add(if kernels.instructions().is_some() {
        "ours"
    } else {
        "ONNX Runtime's"
    });
    add(package.variant());
    let manifest = Manifest::of(package);
    let mut files = vec![package.variant().to_owned()];
    files.extend(onnx::external_files(package.variant(), package.graph()));
    for file in files {
        let (path, size) = package.files().locate(&file)?;
        let changed = fs::metadata(&path).and_then(|metadata| metadata.modified());
        let changed = changed.map_err(at("read", &path))?;
        let since = changed
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        // Without a digest of the content, only this very file can be meant.
        let content = manifest
            .digest(&file)
            .unwrap_or_else(|| path.display().to_string());
        for part in [&file, &size.to_string(), &since.to_string(), &content] {
            add(part);
        }
    }
    let digest = digest.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the store wrote beside the files, as far as it matters here.
#[derive(Default, Deserialize)]
struct Manifest {
    files: Vec<ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    path: String,
    sha256: String,
}

impl Manifest {
    fn of(package: &Package) -> Self {
        let text = package.files().read(MANIFEST, MAX_MANIFEST_BYTES).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    fn digest(&self, path: &str) -> Option<String> {
        let found = self.files.iter().find(|file| file.path == path);
        found.map(|file| file.sha256.clone())
    }
}

/// What decides how weights are packed on this processor.
fn processor() -> String {
    let mut features = vec![std::env::consts::ARCH];
    macro_rules! detect {
        ($detected:ident: $($feature:tt),*) => {
            $(if std::arch::$detected!($feature) { features.push($feature); })*
        };
    }
    #[cfg(target_arch = "x86_64")]
    detect!(is_x86_feature_detected: "sse4.1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq",
        "avx512vl", "avx512vnni", "avx512bf16", "avxvnni", "avxvnniint8");
    #[cfg(target_arch = "aarch64")]
    detect!(is_aarch64_feature_detected: "neon", "dotprod", "fp16", "i8mm", "bf16", "sve", "sve2", "sme");
    features.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_deleted_only_if_it_is_damaged() {
        let open = |code, message: &str| ComputeError::Open {
            file: GRAPH.to_owned(),
            source: ort::Error::new_with_code(code, message),
        };
        use ort::ErrorCode::{GenericFailure, InvalidProtobuf, NoSuchFile, RuntimeException};
        for (error, goes) in [
            (open(InvalidProtobuf, "Protobuf parsing failed"), true),
            (open(NoSuchFile, "File doesn't exist"), true),
            (open(GenericFailure, "system error number 24"), false),
            (open(RuntimeException, "std::bad_alloc"), false),
            (open(InvalidProtobuf, "std::bad_alloc"), false),
            (ComputeError::Interface("no logits".to_owned()), true),
            (ComputeError::OutOfMemory { bytes: 1 }, false),
        ] {
            let copy = tempfile::tempdir().unwrap();
            let said = error.to_string();
            assert!(Fitting(copy.path().to_owned()).judge::<()>(Err(error)).is_none());
            assert_eq!(copy.path().exists(), !goes, "{said}");
        }
    }

    #[test]
    fn a_copy_of_another_machine_version_or_form_has_another_name() {
        let directory =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/testdata/parity/llama-gqa-int4");
        let package = Package::open(&directory).unwrap();
        let this = || Machine {
            form: FORM,
            onnxruntime: "1.31.1".to_owned(),
            processor: "x86_64 avx2".to_owned(),
        };
        let key = |machine: Machine, kernels| key_of(&package, kernels, &machine).unwrap();
        let best = Kernels::Only(airunner_kernels::Isa::best());
        let expected = key(this(), best);
        assert!(is_key(&expected));
        assert_eq!(key(this(), best), expected);
        let other = |change: fn(&mut Machine)| {
            let mut machine = this();
            change(&mut machine);
            key(machine, best)
        };
        let mut all = vec![
            expected,
            key(this(), Kernels::Off),
            other(|machine| machine.form -= 1),
            other(|machine| machine.onnxruntime = "1.31.2".to_owned()),
            other(|machine| machine.processor += " avx512f"),
            // What moves from one field to the next is not the same.
            other(|machine| machine.onnxruntime += &std::mem::take(&mut machine.processor)),
        ];
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn what_is_no_finished_copy_is_found() {
        let cache = tempfile::tempdir().unwrap();
        let create = |name: &str| {
            let path = cache.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (whole, headless) = (create(&"a".repeat(64)), create(&"b".repeat(64)));
        let entry = Entry {
            model: "m".to_owned(),
            directory: PathBuf::new(),
            variant: String::new(),
        };
        fs::write(whole.join(ENTRY), serde_json::to_vec(&entry).unwrap()).unwrap();
        fs::write(headless.join(WEIGHTS), "gigabytes").unwrap();
        let unfinished = create(".incoming-1");
        create("of somebody else");
        let mut left = leftovers(cache.path());
        left.sort();
        assert_eq!(left, [unfinished, headless]);
    }
}
