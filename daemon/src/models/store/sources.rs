//! The files of a directory somebody wants to import, none of them opened yet.

use std::fs;
use std::path::{Component, Path, PathBuf};

use airunner_runtimes::package::MANIFEST;

use super::error::{StoreError, at};

pub(super) const MAX_FILES: usize = 10_000;
pub(super) const MAX_DEPTH: usize = 6;

/// One regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceFile {
    /// Relative to the package, `/`-separated.
    pub(super) path: String,
    /// Where the bytes are, links resolved.
    pub(super) real: PathBuf,
    pub(super) size: u64,
    /// Its name is a link to somewhere else in a cache of the Hugging Face Hub.
    pub(super) in_hub_cache: bool,
}

/// All files below a directory, in order. Hidden ones are left out: they belong to version
/// control and download tools. A link may lead to a file in the directory itself or, in a
/// snapshot of the Hub's cache, to the `blobs` beside the snapshots; devices, pipes and sockets
/// are refused.
pub(super) fn find(directory: &Path) -> Result<Vec<SourceFile>, StoreError> {
    let root = directory.canonicalize().map_err(|_| not_a_directory(directory))?;
    if !root.is_dir() {
        return Err(not_a_directory(directory));
    }
    let mut search = Search {
        blobs: hub_blobs(&root),
        root,
        found: Vec::new(),
    };
    let root = search.root.clone();
    search.walk(&root, "", 0)?;
    search.found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(search.found)
}

struct Search {
    root: PathBuf,
    blobs: Option<PathBuf>,
    found: Vec<SourceFile>,
}

impl Search {
    fn walk(&mut self, directory: &Path, prefix: &str, depth: usize) -> Result<(), StoreError> {
        for entry in fs::read_dir(directory).map_err(at("read", directory))? {
            let entry = entry.map_err(at("read", directory))?;
            let path = entry.path();
            let Some(name) = entry
                .file_name()
                .to_str()
                .map(str::to_owned)
                .filter(|name| is_plain(name))
            else {
                return Err(StoreError::BadName { path });
            };
            if name.starts_with('.') || name == MANIFEST {
                continue;
            }
            let relative = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(at("read", &path))?;
            if kind.is_dir() {
                if depth == MAX_DEPTH {
                    return Err(self.too_large());
                }
                self.walk(&path, &format!("{relative}/"), depth + 1)?;
            } else {
                self.add(&path, relative, kind.is_symlink())?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, relative: String, is_link: bool) -> Result<(), StoreError> {
        if self.found.len() == MAX_FILES {
            return Err(self.too_large());
        }
        let real = path.canonicalize().map_err(at("follow", path))?;
        let in_hub_cache = self
            .blobs
            .as_ref()
            .is_some_and(|blobs| real.parent() == Some(blobs));
        if is_link && !real.starts_with(&self.root) && !in_hub_cache {
            return Err(StoreError::LinkOutside {
                path: path.to_path_buf(),
            });
        }
        let metadata = fs::symlink_metadata(&real).map_err(at("read", &real))?;
        if !metadata.is_file() {
            return Err(StoreError::Special {
                path: path.to_path_buf(),
            });
        }
        self.found.push(SourceFile {
            path: relative,
            real,
            size: metadata.len(),
            in_hub_cache,
        });
        Ok(())
    }

    fn too_large(&self) -> StoreError {
        StoreError::TooLarge {
            path: self.root.clone(),
            limit: MAX_FILES,
            depth: MAX_DEPTH,
        }
    }
}

/// `<repository>/blobs`, if the directory is `<repository>/snapshots/<revision>` or below it.
fn hub_blobs(root: &Path) -> Option<PathBuf> {
    let revision = root.ancestors().find(|path| {
        path.parent()
            .and_then(Path::file_name)
            .is_some_and(|name| name == "snapshots")
    })?;
    let blobs = revision.parent()?.parent()?.join("blobs");
    blobs.is_dir().then_some(blobs)
}

/// One ordinary component on every system.
pub(super) fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    !name.contains(['\\', '/', ':', '\0'])
        && matches!(components.next(), Some(Component::Normal(_)))
        && components.next().is_none()
}

fn not_a_directory(path: &Path) -> StoreError {
    StoreError::NotADirectory {
        path: path.to_path_buf(),
    }
}
