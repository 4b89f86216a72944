//! Imports that succeed, imports that are refused, and what is left behind: nothing.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use airunner_core::model::{ImportProgress, ImportStage, Model, Source};
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_runtimes::package::MANIFEST;

use super::{Installed, Observer, Output, Store, StoreError, create_file};

struct World {
    home: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path().join("models"), home.path().join("builtin")).unwrap();
        Self { home, store }
    }

    /// A small package of the committed test data.
    fn package(&self) -> PathBuf {
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/testdata/parity/llama-bare");
        let copy = self.home.path().join("package");
        copy_directory(&original, &copy);
        copy
    }

    fn import(&self, directory: &Path, name: &str) -> Result<Installed, StoreError> {
        self.import_watched(directory, name, &Record::default())
    }

    fn import_watched(
        &self,
        directory: &Path,
        name: &str,
        observer: &dyn Observer,
    ) -> Result<Installed, StoreError> {
        let installed: Vec<ModelName> = self.store.scan().into_iter().map(|model| model.name).collect();
        self.store
            .import(directory, &model_name(name), &installed, observer)
    }

    fn refused(&self, directory: &Path, name: &str) -> Fault {
        Fault::from(self.import(directory, name).unwrap_err())
    }

    /// Names in the store's directory, hidden ones included.
    fn stored(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.home.path().join("models"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn model_name(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Remembers the progress; gives up after so many reports.
#[derive(Default)]
struct Record {
    seen: RefCell<Vec<ImportProgress>>,
    give_up_after: Option<usize>,
}

impl Observer for Record {
    fn progress(&self, progress: ImportProgress) {
        self.seen.borrow_mut().push(progress);
    }

    fn is_cancelled(&self) -> bool {
        self.give_up_after
            .is_some_and(|count| self.seen.borrow().len() >= count)
    }
}

#[test]
fn an_imported_package_is_found_again_with_the_sums_of_its_files() {
    let world = World::new();
    let record = Record::default();
    let installed = world
        .import_watched(&world.package(), "team/tiny", &record)
        .unwrap();
    assert_eq!(installed.source, Source::Import("package".to_owned()));
    assert_eq!(world.stored(), ["team+tiny"]);
    assert_eq!(world.store.scan(), std::slice::from_ref(&installed));

    let manifest = fs::read_to_string(installed.directory.join(MANIFEST)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        (&manifest["name"], &manifest["format"]),
        (&"team/tiny".into(), &"bare".into())
    );
    for file in manifest["files"].as_array().unwrap() {
        let content = fs::read(installed.directory.join(file["path"].as_str().unwrap())).unwrap();
        let sum: String = <sha2::Sha256 as sha2::Digest>::digest(&content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            (&file["size"], &file["sha256"]),
            (&content.len().into(), &sum.into())
        );
    }
    let stages: Vec<ImportStage> = record
        .seen
        .borrow()
        .iter()
        .map(|progress| progress.stage)
        .collect();
    assert_eq!(
        stages,
        [
            ImportStage::Checking,
            ImportStage::Copying,
            ImportStage::Publishing
        ]
    );
    let last = *record.seen.borrow().last().unwrap();
    assert_eq!(
        (last.done_bytes, last.total_bytes),
        (installed.size_bytes, installed.size_bytes)
    );
}

#[test]
fn a_linked_package_is_found_again_and_removing_it_leaves_the_files() {
    let world = World::new();
    let package = world.package().canonicalize().unwrap();
    let record = Record::default();
    let installed = world
        .store
        .link(&package, &model_name("team/linked"), &[], &record)
        .unwrap();
    assert_eq!(
        (&installed.source, &installed.directory),
        (&Source::Linked(package.display().to_string()), &package)
    );
    assert_eq!(world.store.scan(), std::slice::from_ref(&installed));
    let place = world.home.path().join("models/team+linked");
    let stored: Vec<_> = fs::read_dir(&place).unwrap().collect();
    assert_eq!(stored.len(), 1, "the manifest alone");
    assert_eq!(
        record.seen.borrow().last().unwrap().stage,
        ImportStage::Publishing
    );
    let taken = world.store.link(
        &package,
        &model_name("other"),
        std::slice::from_ref(&installed.name),
        &record,
    );
    world.store.remove(&taken.unwrap()).unwrap();
    world.store.remove(&installed).unwrap();
    assert!(world.stored().is_empty() && package.join("model.onnx").is_file());
}

#[test]
fn what_is_no_package_is_not_linked() {
    let world = World::new();
    let record = Record::default();
    let package = world.package();
    fs::write(package.join("model.onnx"), "garbage").unwrap();
    for (name, kind) in [
        ("tiny", ErrorKind::ModelInvalid),
        ("builtin/x", ErrorKind::PermissionDenied),
    ] {
        let refused = world.store.link(&package, &model_name(name), &[], &record);
        assert_eq!(Fault::from(refused.unwrap_err()).kind, kind);
    }
    assert!(world.stored().is_empty());
}

#[test]
fn every_kind_of_damage_is_found_and_repaired_in_place() {
    let world = World::new();
    let package = world.package();
    let installed = world.import(&package, "tiny").unwrap();
    let check = || {
        let published = world.store.published(&installed.name).unwrap();
        let problems = published.verify(&mut |_, _| Ok(())).unwrap();
        (published, problems)
    };
    let (published, problems) = check();
    assert!(problems.is_empty(), "{problems:?}");
    let read: Cell<u64> = Cell::new(0);
    published
        .verify(&mut |_, bytes| {
            read.set(read.get() + bytes);
            Ok(())
        })
        .unwrap();
    assert_eq!(read.get(), published.size());

    let file = |name: &str| installed.directory.join(name);
    let mut graph = fs::read(file("model.onnx")).unwrap();
    graph[0] ^= 1;
    fs::write(file("model.onnx"), &graph).unwrap();
    fs::write(file("tokenizer.json"), "short").unwrap();
    let (published, problems) = check();
    let found: Vec<_> = problems
        .iter()
        .map(|problem| {
            (
                problem.path.as_str(),
                problem.problem.split(' ').take(2).collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("model.onnx", vec!["has", "other"]),
            ("tokenizer.json", vec!["has", "5"])
        ]
    );
    fs::remove_file(file("model.onnx")).unwrap();
    assert_eq!(check().1[0].problem, "missing");
    for name in ["model.onnx", "tokenizer.json"] {
        published.replace(name, &package.join(name)).unwrap();
    }
    assert!(check().1.is_empty());
    published
        .replace("../x", &package.join("model.onnx"))
        .unwrap_err();
    let given_up = published.verify(&mut |_, _| Err(StoreError::Cancelled));
    assert!(matches!(given_up, Err(StoreError::Cancelled)));
}

#[test]
fn details_tell_what_the_package_declares() {
    let world = World::new();
    let installed = world.import(&world.package(), "tiny").unwrap();
    let model = Model {
        name: installed.name.clone(),
        kind: installed.kind,
        state: airunner_core::lifecycle::StateName::Unloaded,
        size_bytes: installed.size_bytes,
        source: installed.source,
        instance: None,
        last_unload_reason: None,
        waiting_requests: 0,
    };
    let details = world.store.details(model).unwrap();
    assert_eq!(details.variants, ["model.onnx"]);
    assert!(details.files.iter().all(|file| file.sha256.is_some()));
}

#[test]
fn a_removed_package_is_gone() {
    let world = World::new();
    let installed = world.import(&world.package(), "tiny").unwrap();
    world.store.remove(&installed).unwrap();
    assert!(world.stored().is_empty());
}

#[test]
fn names_that_are_taken_or_reserved_are_refused() {
    let world = World::new();
    let package = world.package();
    world.import(&package, "tiny").unwrap();
    assert_eq!(world.refused(&package, "tiny").kind, ErrorKind::AlreadyExists);
    assert_eq!(world.refused(&package, "TINY").kind, ErrorKind::AlreadyExists);
    assert_eq!(
        world.refused(&package, "builtin/mine").kind,
        ErrorKind::PermissionDenied
    );
    assert_eq!(world.stored(), ["tiny"]);
}

#[test]
fn a_directory_in_the_way_is_not_overwritten() {
    let world = World::new();
    let package = world.package();
    let in_the_way = world.home.path().join("models/tiny");
    fs::create_dir_all(&in_the_way).unwrap();
    fs::write(in_the_way.join(MANIFEST), "{ damaged").unwrap();
    assert!(world.store.scan().is_empty(), "a damaged manifest is left out");
    assert_eq!(world.refused(&package, "tiny").kind, ErrorKind::AlreadyExists);
    assert_eq!(
        fs::read_to_string(in_the_way.join(MANIFEST)).unwrap(),
        "{ damaged"
    );
    assert_eq!(world.stored(), ["tiny"]);
}

#[test]
fn what_is_no_package_is_refused_and_leaves_nothing() {
    let world = World::new();
    let empty = world.home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let file = world.home.path().join("file");
    fs::write(&file, "").unwrap();
    for (path, kind) in [
        (&empty, ErrorKind::ModelIncompatible),
        (&file, ErrorKind::NotFound),
        (&world.home.path().join("missing"), ErrorKind::NotFound),
    ] {
        let fault = world.refused(path, "tiny");
        assert_eq!(fault.kind, kind, "{}: {}", path.display(), fault.message);
    }
    assert!(world.stored().is_empty());
}

#[test]
fn a_damaged_graph_is_refused() {
    let world = World::new();
    let package = world.package();
    fs::write(package.join("model.onnx"), "garbage").unwrap();
    assert_eq!(world.refused(&package, "tiny").kind, ErrorKind::ModelInvalid);
    assert!(world.stored().is_empty());
}

#[test]
fn an_import_that_is_given_up_leaves_nothing() {
    let world = World::new();
    let package = world.package();
    for count in 1..=3 {
        let record = Record {
            give_up_after: Some(count),
            ..Record::default()
        };
        let error = world.import_watched(&package, "tiny", &record).unwrap_err();
        assert!(matches!(error, StoreError::Cancelled), "{error}");
        assert!(world.stored().is_empty(), "after {count} reports");
    }
}

thread_local! {
    /// Bytes the disk of a test has left.
    static ROOM: Cell<usize> = const { Cell::new(0) };
}

struct SmallDisk(Box<dyn Output>);

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = ROOM.get();
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.0.write(&bytes[..bytes.len().min(room)])?;
        ROOM.set(room - written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Output for SmallDisk {
    fn persist(&mut self) -> io::Result<()> {
        self.0.persist()
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let mut world = World::new();
    let package = world.package();
    world.store.create = |path| Ok(Box::new(SmallDisk(create_file(path)?)));
    let size: u64 = super::sources::find(&package)
        .unwrap()
        .iter()
        .map(|file| file.size)
        .sum();
    let size = usize::try_from(size).unwrap();
    // In the middle of the files, and in the middle of the manifest.
    for room in [10, size / 2, size + 20] {
        ROOM.set(room);
        let fault = world.refused(&package, "tiny");
        assert_eq!(fault.kind, ErrorKind::DiskFull, "{}", fault.message);
        assert!(world.stored().is_empty(), "with room for {room} bytes");
    }
    ROOM.set(size * 2);
    world.import(&package, "tiny").unwrap();
}

#[test]
fn what_a_crash_left_is_cleared_and_nothing_else() {
    let world = World::new();
    world.import(&world.package(), "tiny").unwrap();
    let models = world.home.path().join("models");
    for name in [".incoming-1-0", ".removing-1-1"] {
        fs::create_dir(models.join(name)).unwrap();
        fs::write(models.join(name).join("half"), "x").unwrap();
    }
    fs::create_dir(models.join("somebody-elses")).unwrap();
    Store::open(models, world.home.path().join("builtin")).unwrap();
    assert_eq!(world.stored(), ["somebody-elses", "tiny"]);
}

#[test]
fn models_that_ship_with_the_program_are_listed() {
    let world = World::new();
    copy_directory(&world.package(), &world.home.path().join("builtin/helper"));
    let found = world.store.scan();
    assert_eq!(
        (found[0].name.as_str(), &found[0].source),
        ("builtin/helper", &Source::Builtin)
    );
    assert!(found[0].size_bytes > 0);
}

#[test]
fn a_manifest_of_another_model_is_left_out() {
    let world = World::new();
    let installed = world.import(&world.package(), "tiny").unwrap();
    fs::rename(&installed.directory, installed.directory.with_file_name("other")).unwrap();
    assert!(world.store.scan().is_empty());
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_may_stay_inside() {
        let world = World::new();
        let package = world.package();
        fs::rename(package.join("tokenizer.json"), package.join("real.json")).unwrap();
        symlink("real.json", package.join("tokenizer.json")).unwrap();
        let installed = world.import(&package, "tiny").unwrap();
        let copied = installed.directory.join("tokenizer.json");
        assert!(!fs::symlink_metadata(copied).unwrap().is_symlink());
    }

    #[test]
    fn a_link_that_leaves_is_refused() {
        let world = World::new();
        for target in [
            "/etc/hostname",
            "../outside",
            "../package-with-the-same-beginning/x",
        ] {
            let package = world.package();
            fs::write(world.home.path().join("outside"), "secret").unwrap();
            let beside = world.home.path().join("package-with-the-same-beginning");
            fs::create_dir_all(&beside).unwrap();
            fs::write(beside.join("x"), "secret").unwrap();
            let link = package.join("extra.json");
            drop(fs::remove_file(&link));
            symlink(target, &link).unwrap();
            let fault = world.refused(&package, "tiny");
            assert_eq!(fault.kind, ErrorKind::ModelInvalid, "{target}: {}", fault.message);
        }
        assert!(world.stored().is_empty());
    }

    #[test]
    fn a_linked_directory_and_a_dangling_link_are_refused() {
        let world = World::new();
        let package = world.package();
        symlink("/etc", package.join("more")).unwrap();
        assert_eq!(world.refused(&package, "tiny").kind, ErrorKind::ModelInvalid);
        fs::remove_file(package.join("more")).unwrap();
        symlink("nowhere", package.join("more")).unwrap();
        world.refused(&package, "tiny");
        assert!(world.stored().is_empty());
    }

    #[test]
    fn a_pipe_or_a_socket_is_refused_without_waiting() {
        let world = World::new();
        let package = world.package();
        let _listener = std::os::unix::net::UnixListener::bind(package.join("socket")).unwrap();
        let fault = world.refused(&package, "tiny");
        assert_eq!(fault.kind, ErrorKind::ModelInvalid);
        assert!(
            fault.message.contains("neither a file nor a directory"),
            "{}",
            fault.message
        );
    }

    /// The cache of the Hugging Face Hub keeps files in `blobs` and links to them in `snapshots`.
    #[test]
    fn a_snapshot_of_the_hub_cache_is_imported_as_files() {
        let world = World::new();
        let package = world.package();
        let repository = world.home.path().join("models--team--tiny");
        let (blobs, snapshot) = (repository.join("blobs"), repository.join("snapshots/abc123"));
        fs::create_dir_all(&blobs).unwrap();
        fs::create_dir_all(&snapshot).unwrap();
        for (number, entry) in fs::read_dir(&package).unwrap().enumerate() {
            let entry = entry.unwrap();
            let blob = format!("{number:064x}");
            fs::copy(entry.path(), blobs.join(&blob)).unwrap();
            symlink(format!("../../blobs/{blob}"), snapshot.join(entry.file_name())).unwrap();
        }
        let installed = world.import(&snapshot, "tiny").unwrap();
        assert!(installed.directory.join("model.onnx").is_file());
        // Even there, a link may lead to nothing but the blobs.
        symlink("/etc/hostname", snapshot.join("extra")).unwrap();
        assert_eq!(world.refused(&snapshot, "again").kind, ErrorKind::ModelInvalid);
    }
}
