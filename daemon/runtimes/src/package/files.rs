//! The files of a package. Every path goes through here, so that nothing outside the package
//! directory is ever opened: not by `..`, not by an absolute path, not by a link.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use airunner_core::model::PackageFile;

use super::PackageError;

const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 6;

/// A package directory.
#[derive(Clone, Debug)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    pub fn open(directory: &Path) -> Result<Self, PackageError> {
        let not_a_directory = || PackageError::NotADirectory {
            path: directory.to_owned(),
        };
        let root = directory.canonicalize().map_err(|_| not_a_directory())?;
        if !root.is_dir() {
            return Err(not_a_directory());
        }
        Ok(Self { root })
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// True if the package holds something of that name, sound or not.
    #[must_use]
    pub fn has(&self, file: &str) -> bool {
        self.root.join(file).symlink_metadata().is_ok()
    }

    /// Absolute path and size of a regular file inside the package.
    pub fn locate(&self, file: &str) -> Result<(PathBuf, u64), PackageError> {
        if !is_plain(file) {
            return Err(PackageError::BadPath {
                file: file.to_owned(),
            });
        }
        let joined = self.root.join(file);
        let path = joined.canonicalize().map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                return PackageError::Missing {
                    file: file.to_owned(),
                };
            }
            PackageError::Read {
                path: joined.clone(),
                source,
            }
        })?;
        if !path.starts_with(&self.root) {
            return Err(PackageError::Outside {
                file: file.to_owned(),
            });
        }
        let metadata = path.metadata().map_err(|source| PackageError::Read {
            path: path.clone(),
            source,
        })?;
        if !metadata.is_file() {
            return Err(PackageError::NotAFile {
                file: file.to_owned(),
            });
        }
        Ok((path, metadata.len()))
    }

    /// The file's path, if it is no larger than `limit` bytes.
    pub fn locate_within(&self, file: &str, limit: u64) -> Result<PathBuf, PackageError> {
        let (path, size) = self.locate(file)?;
        if size > limit {
            Err(too_large(file, size, limit))
        } else {
            Ok(path)
        }
    }

    /// The content of a file of at most `limit` bytes.
    pub fn read(&self, file: &str, limit: u64) -> Result<Vec<u8>, PackageError> {
        let path = self.locate_within(file, limit)?;
        let mut content = Vec::new();
        File::open(&path)
            .and_then(|opened| opened.take(limit + 1).read_to_end(&mut content))
            .map_err(|source| PackageError::Read { path, source })?;
        if content.len() as u64 > limit {
            return Err(too_large(file, content.len() as u64, limit));
        }
        Ok(content)
    }

    pub fn read_text(&self, file: &str, limit: u64) -> Result<String, PackageError> {
        String::from_utf8(self.read(file, limit)?).map_err(|_| PackageError::NotText {
            file: file.to_owned(),
        })
    }

    /// Every file of the package in order, hidden ones and the program's own manifest left out.
    pub fn list(&self) -> Result<Vec<PackageFile>, PackageError> {
        let mut found = Vec::new();
        self.walk(&self.root, "", 0, &mut found)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn walk(
        &self,
        directory: &Path,
        prefix: &str,
        depth: usize,
        found: &mut Vec<PackageFile>,
    ) -> Result<(), PackageError> {
        let read = |source| PackageError::Read {
            path: directory.to_owned(),
            source,
        };
        for entry in directory.read_dir().map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| PackageError::BadPath {
                    file: format!("{prefix}{}", name.to_string_lossy()),
                })?;
            if name.starts_with('.') || name == super::MANIFEST {
                continue;
            }
            let file = format!("{prefix}{name}");
            if entry.file_type().map_err(read)?.is_dir() {
                if depth < MAX_DEPTH {
                    self.walk(&entry.path(), &format!("{file}/"), depth + 1, found)?;
                }
                continue;
            }
            let (_, size_bytes) = self.locate(&file)?;
            if found.len() == MAX_FILES {
                return Err(PackageError::TooManyFiles { limit: MAX_FILES });
            }
            found.push(PackageFile {
                path: file,
                size_bytes,
                sha256: None,
            });
        }
        Ok(())
    }
}

fn too_large(file: &str, size: u64, limit: u64) -> PackageError {
    PackageError::TooLarge {
        file: file.to_owned(),
        size,
        limit,
    }
}

/// A relative path of ordinary names: no root, drive, `.` or `..`, backslash or NUL.
fn is_plain(file: &str) -> bool {
    !file.is_empty()
        && !file.contains(['\\', '\0', ':'])
        && Path::new(file)
            .components()
            .all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn package() -> (tempfile::TempDir, Files) {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("package");
        fs::create_dir_all(directory.join("onnx")).unwrap();
        fs::write(home.path().join("secret"), "x").unwrap();
        fs::write(directory.join("config.json"), "{}").unwrap();
        fs::write(directory.join("onnx/model.onnx"), "12345").unwrap();
        fs::write(directory.join(".hidden"), "").unwrap();
        let files = Files::open(&directory).unwrap();
        (home, files)
    }

    #[test]
    fn lists_what_a_package_holds() {
        let (_home, files) = package();
        let listed: Vec<_> = files
            .list()
            .unwrap()
            .into_iter()
            .map(|file| (file.path, file.size_bytes))
            .collect();
        assert_eq!(
            listed,
            [("config.json".to_owned(), 2), ("onnx/model.onnx".to_owned(), 5)]
        );
    }

    #[test]
    fn opens_nothing_outside() {
        let (_home, files) = package();
        for path in [
            "../secret",
            "/etc/passwd",
            "",
            "onnx/../../secret",
            "C:\\x",
            "a\\b",
            "a\0b",
        ] {
            let error = files.locate(path).unwrap_err();
            assert!(matches!(error, PackageError::BadPath { .. }), "{path}: {error}");
        }
        assert!(matches!(
            files.locate("nothing").unwrap_err(),
            PackageError::Missing { .. }
        ));
        assert!(matches!(
            files.locate("onnx").unwrap_err(),
            PackageError::NotAFile { .. }
        ));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_may_stay_inside_but_not_leave() {
        use std::os::unix::fs::symlink;
        let (home, files) = package();
        symlink(home.path().join("secret"), files.root().join("out")).unwrap();
        symlink("config.json", files.root().join("in")).unwrap();
        assert!(files.locate("in").is_ok());
        assert!(matches!(
            files.locate("out").unwrap_err(),
            PackageError::Outside { .. }
        ));
        assert!(matches!(files.list().unwrap_err(), PackageError::Outside { .. }));
    }

    #[test]
    fn reads_no_more_than_allowed() {
        let (_home, files) = package();
        assert_eq!(files.read_text("onnx/model.onnx", 5).unwrap(), "12345");
        let error = files.read("onnx/model.onnx", 4).unwrap_err();
        assert!(error.to_string().contains("5 bytes, more than the 4"), "{error}");
    }
}
