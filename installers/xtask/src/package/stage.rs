//! Puts the files of a package into an empty directory as they will be installed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use super::files::{Content, Entry};

/// A directory with the files of one package, made afresh.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) root: PathBuf,
    time: SystemTime,
    directories: BTreeSet<PathBuf>,
}

impl Stage {
    /// Empties `root`; everything in it will be dated `time`.
    pub(super) fn new(root: PathBuf, time: i64) -> anyhow::Result<Self> {
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
        }
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        let since = Duration::from_secs(u64::try_from(time).context("a package is not older than 1970")?);
        let mut stage = Self {
            root: root.clone(),
            time: SystemTime::UNIX_EPOCH + since,
            directories: BTreeSet::new(),
        };
        stage.directory(&root)?;
        Ok(stage)
    }

    /// Writes entries below `prefix`, such as `usr`.
    pub(super) fn add(&mut self, prefix: &str, entries: &[Entry]) -> anyhow::Result<()> {
        for entry in entries {
            let path = self.root.join(prefix).join(&entry.path);
            self.write(&path, entry)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn write(&mut self, path: &Path, entry: &Entry) -> anyhow::Result<()> {
        self.directory(path.parent().context("a file is in a directory")?)?;
        match &entry.content {
            Content::Copy(source) => {
                fs::copy(source, path).with_context(|| format!("cannot read {}", source.display()))?;
            }
            Content::Bytes(bytes) => fs::write(path, bytes)?,
        }
        set_mode(path, entry.mode)?;
        Ok(File::options().append(true).open(path)?.set_modified(self.time)?)
    }

    /// Makes a directory that everybody may read, with those above it as far as the root.
    fn directory(&mut self, path: &Path) -> anyhow::Result<()> {
        for ancestor in path
            .ancestors()
            .take_while(|ancestor| ancestor.starts_with(&self.root))
        {
            self.directories.insert(ancestor.to_owned());
        }
        fs::create_dir_all(path)?;
        Ok(())
    }

    /// Dates the directories, which every file in them had changed, and returns the root.
    pub(super) fn finish(self) -> anyhow::Result<PathBuf> {
        for directory in &self.directories {
            set_mode(directory, 0o755)?;
            set_directory_time(directory, self.time)
                .with_context(|| format!("cannot date {}", directory.display()))?;
        }
        Ok(self.root)
    }

    /// Bytes of all files.
    pub(super) fn size(&self) -> anyhow::Result<u64> {
        let mut total = 0;
        for directory in &self.directories {
            for entry in fs::read_dir(directory)? {
                let metadata = entry?.metadata()?;
                total += if metadata.is_file() { metadata.len() } else { 0 };
            }
        }
        Ok(total)
    }
}

#[cfg(unix)]
pub(super) fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// There is no mode; the installer decides.
#[cfg(not(unix))]
pub(super) fn set_mode(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn set_directory_time(path: &Path, time: SystemTime) -> std::io::Result<()> {
    File::open(path)?.set_modified(time)
}

/// A directory cannot be opened like a file, and no package of that system holds its time.
#[cfg(not(unix))]
fn set_directory_time(_path: &Path, _time: SystemTime) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_have_their_mode_and_everything_the_same_time() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("stage");
        fs::create_dir_all(root.join("left over")).unwrap();
        let source = directory.path().join("program");
        fs::write(&source, "program").unwrap();
        let mut stage = Stage::new(root.clone(), 1_000_000).unwrap();
        let program = Entry {
            path: "bin/program".to_owned(),
            mode: 0o755,
            content: Content::Copy(source),
        };
        stage
            .add("usr", &[program, Entry::text("share/doc/text", "text")])
            .unwrap();
        assert_eq!(stage.size().unwrap(), 11);
        stage.finish().unwrap();

        assert!(!root.join("left over").exists());
        for (path, mode) in [
            ("", 0o755),
            ("usr", 0o755),
            ("usr/bin/program", 0o755),
            ("usr/share/doc", 0o755),
            ("usr/share/doc/text", 0o644),
        ] {
            let metadata = fs::metadata(root.join(path)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
            let time = metadata.modified().unwrap();
            assert_eq!(
                time,
                SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
                "{path}"
            );
        }
    }
}
