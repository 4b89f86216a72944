//! Changing settings in the file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use airunner_platform::files;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use super::error::ConfigError;
use super::file;
use super::keys::{Key, find};
use super::settings::Settings;
use super::value::Raw;
use super::written;

/// How often a file is read again that somebody else writes at the same time.
const ATTEMPTS: usize = 5;

/// What is to happen to one setting.
#[derive(Clone, Debug)]
pub struct Edit {
    key: &'static Key,
    /// `None`: taken out, so that the default counts.
    value: Option<Value>,
}

impl Edit {
    /// A value as a person writes it, if it is allowed.
    pub fn set(key: &'static Key, text: &str) -> Result<Self, ConfigError> {
        Self::put(key, written::value(key, text))
    }

    #[must_use]
    pub const fn reset(key: &'static Key) -> Self {
        Self { key, value: None }
    }

    #[must_use]
    pub const fn key(&self) -> &'static Key {
        self.key
    }

    fn put(key: &'static Key, value: Value) -> Result<Self, ConfigError> {
        match (key.set)(&mut Settings::default(), Raw::File(&value)) {
            Ok(()) => Ok(Self {
                key,
                value: Some(value),
            }),
            Err(allowed) => Err(ConfigError::Refused {
                key: key.full_name(),
                value: value.to_string().trim().to_owned(),
                allowed,
            }),
        }
    }
}

/// Writes one value into the file.
pub fn set(path: &Path, section: &str, name: &str, value: impl Into<Value>) -> Result<(), ConfigError> {
    let key = find(section, name).ok_or_else(|| ConfigError::NoSuchKey {
        section: section.to_owned(),
        key: name.to_owned(),
    })?;
    change(path, &[Edit::put(key, value.into())?])
}

/// Writes all of these into the file, or nothing. The file is made if there is none; comments,
/// order and everything else stay as they are, and a reader sees the old file or the new one. A
/// file that would be wrong in another place is left alone, and what somebody else writes at the
/// same time is not lost.
pub fn change(path: &Path, edits: &[Edit]) -> Result<(), ConfigError> {
    let failed = |source| ConfigError::Write {
        path: path.to_path_buf(),
        source,
    };
    // Writers of this process one after the other; others are seen by what they wrote.
    static WRITER: Mutex<()> = Mutex::new(());
    let _writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..ATTEMPTS {
        let before = file::text(path)?;
        let text = before.as_deref().unwrap_or_default();
        let after = changed(path, text, edits)?;
        if after == text {
            return Ok(());
        }
        let incoming = Incoming::write(path, after.as_bytes()).map_err(failed)?;
        if file::text(path)? == before {
            return incoming.put().map_err(failed);
        }
    }
    Err(failed(io::ErrorKind::ResourceBusy.into()))
}

/// The text of the file as these would leave it.
pub fn preview(path: &Path, edits: &[Edit]) -> Result<String, ConfigError> {
    let text = file::text(path)?;
    changed(path, text.as_deref().unwrap_or_default(), edits)
}

/// The text with the edits in it, if that can be read back.
fn changed(path: &Path, text: &str, edits: &[Edit]) -> Result<String, ConfigError> {
    // A text that is no TOML is told by its line.
    let Ok(mut document) = text.parse::<DocumentMut>() else {
        return file::values(path, text.to_owned()).map(|_| text.to_owned());
    };
    for edit in edits {
        match edit.value.clone() {
            Some(value) => put(&mut document, edit.key.section, edit.key.name, value),
            None => take_out(&mut document, edit.key.section, edit.key.name),
        }
    }
    let after = document.to_string();
    file::values(path, after.clone())?;
    Ok(after)
}

fn put(document: &mut DocumentMut, section: &str, name: &str, mut value: Value) {
    let table = document
        .entry(section)
        .or_insert_with(|| Item::Table(Table::new()));
    // Anything else by that name is told when the text is read back.
    let Some(table) = table.as_table_like_mut() else {
        return;
    };
    match table.get_mut(name).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(name, Item::Value(value));
        }
    }
}

/// What stands above the setting may be meant for more than this one, and stays.
fn take_out(document: &mut DocumentMut, section: &str, name: &str) {
    let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut) else {
        return;
    };
    let (above, next) = (above(table, name), after(table, name));
    if table.remove(name).is_none() || !above.contains('#') {
        return;
    }
    let next = next.and_then(|next| table.key_mut(&next));
    if let Some(mut next) = next {
        let decor = next.leaf_decor_mut();
        let own = decor
            .prefix()
            .and_then(|prefix| prefix.as_str())
            .unwrap_or_default();
        let both = format!("{above}{own}");
        return decor.set_prefix(both);
    }
    let following = document.iter().map(|(section, _)| section.to_owned());
    let following = following.skip_while(|other| other != section).nth(1);
    let following = following.and_then(|next| document.get_mut(&next)?.as_table_mut());
    if let Some(following) = following {
        let own = following.decor().prefix().and_then(|prefix| prefix.as_str());
        let both = format!("{above}{}", own.unwrap_or_default());
        following.decor_mut().set_prefix(both);
    } else {
        let own = document.trailing().as_str().unwrap_or_default();
        let both = format!("{above}{own}");
        document.set_trailing(both);
    }
}

/// Comments and empty lines before a setting.
fn above(table: &dyn TableLike, name: &str) -> String {
    let prefix = table.key(name).and_then(|key| key.leaf_decor().prefix());
    prefix
        .and_then(|prefix| prefix.as_str())
        .unwrap_or_default()
        .to_owned()
}

/// The setting that comes next in the section.
fn after(table: &dyn TableLike, name: &str) -> Option<String> {
    let names = table.iter().map(|(name, _)| name.to_owned());
    names.skip_while(|other| other != name).nth(1)
}

/// A file beside the one that it is to become.
struct Incoming {
    path: PathBuf,
    target: PathBuf,
}

impl Incoming {
    /// A file that is a link stays one: what it leads to is replaced.
    fn write(path: &Path, contents: &[u8]) -> io::Result<Self> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let incoming = Self {
            path: beside(&target),
            target,
        };
        write(&incoming.path, &incoming.target, contents)?;
        Ok(incoming)
    }

    fn put(self) -> io::Result<()> {
        fs::rename(&self.path, &self.target)?;
        files::sync_directory(self.target.parent().unwrap_or(Path::new(".")))
    }
}

/// It is not there if it has become the file.
impl Drop for Incoming {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

fn beside(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!(".{name}.{}.{number}", std::process::id()))
}

fn write(incoming: &Path, target: &Path, contents: &[u8]) -> io::Result<()> {
    // What a killed daemon with the same number left.
    drop(fs::remove_file(incoming));
    let mut file = OpenOptions::new().write(true).create_new(true).open(incoming)?;
    if let Ok(old) = fs::metadata(target) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use airunner_core::memory::Budget;

    fn read(path: &Path) -> Settings {
        Settings::read(path, &Environment::default()).unwrap()
    }

    #[test]
    fn the_rest_of_the_file_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        let text = "# mine\n[log]\nlevel = \"debug\" # loud\n\n[memory]\n# half of it\ngpu_budget = \"50%\"  # enough\n";
        fs::write(&path, text).unwrap();
        set(&path, "memory", "gpu_budget", "4GiB").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text.replace("50%", "4GiB"));
        set(&path, "memory", "cpu_budget", "0").unwrap();
        let expected = text.replace("50%", "4GiB") + "cpu_budget = \"0\"\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(read(&path).memory.cpu_budget, Budget::Bytes(0));
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_missing_file_is_made_and_inline_sections_are_understood() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        set(&path, "memory", "cpu_budget", "70%").unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "[memory]\ncpu_budget = \"70%\"\n"
        );
        fs::write(&path, "memory = { cpu_budget = \"1GiB\" }\n").unwrap();
        set(&path, "memory", "cpu_budget", "2GiB").unwrap();
        assert_eq!(read(&path).memory.cpu_budget, Budget::Bytes(2 << 30));
    }

    #[test]
    fn what_is_reset_leaves_its_comments_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        let reset = |names: &[&str]| {
            let edits: Vec<Edit> = names
                .iter()
                .map(|name| Edit::reset(crate::config::named(name).unwrap()))
                .collect();
            change(&path, &edits).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        fs::write(
            &path,
            "[log]\n# loud\nlevel = \"debug\"\n# few\nmax_files = 2\n\n[models]\n# long\nkeep_alive = \"9h\"\n",
        )
        .unwrap();
        let text = reset(&["log.level"]);
        assert_eq!(
            text,
            "[log]\n# loud\n# few\nmax_files = 2\n\n[models]\n# long\nkeep_alive = \"9h\"\n"
        );
        let text = reset(&["log.max_files", "models.keep_alive"]);
        assert_eq!(text, "[log]\n# loud\n# few\n\n[models]\n# long\n");
        assert_eq!(read(&path), Settings::default());
        assert_eq!(reset(&["http.listen"]), text, "what is not there stays so");
    }

    #[test]
    fn what_somebody_else_writes_meanwhile_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs::write(&path, "").unwrap();
        std::thread::scope(|scope| {
            for (section, name) in [
                ("runtime", "threads"),
                ("runtime", "queue_length"),
                ("worker", "open_files"),
            ] {
                let path = &path;
                scope.spawn(move || {
                    for number in 64..80 {
                        set(path, section, name, i64::from(number)).unwrap();
                    }
                });
            }
        });
        let settings = read(&path);
        let numbers = (
            settings.runtime.threads,
            settings.runtime.queue_length,
            settings.worker.open_files,
        );
        assert_eq!(numbers, (Some(79), 79, 79));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_would_not_be_read_back_is_refused_and_nothing_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        for (section, key, value, expected) in [
            (
                "memory",
                "cpu_budget",
                "200%",
                "memory.cpu_budget cannot be \"200%\": it must be a size",
            ),
            ("memory", "ram", "1", "there is no setting memory.ram"),
            (
                "nothing",
                "cpu_budget",
                "1",
                "there is no setting nothing.cpu_budget",
            ),
        ] {
            let error = set(&path, section, key, value).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!path.exists());
        }
        for (text, expected) in [
            ("\n[memory\n", "config.toml line 2: this is not TOML"),
            (
                "[log]\nlevel = \"loud\"\n",
                "config.toml line 2: log.level is \"loud\"",
            ),
            ("memory = 7\n", "line 1: there is no section [memory]"),
        ] {
            fs::write(&path, text).unwrap();
            let error = set(&path, "memory", "cpu_budget", "1MiB")
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, "[memory]\ncpu_budget = \"much\"\n").unwrap();
        set(&path, "memory", "cpu_budget", "1MiB").unwrap();
        assert_eq!(
            read(&path).memory.cpu_budget,
            Budget::Bytes(1 << 20),
            "it is mended"
        );
    }

    #[cfg(unix)]
    #[test]
    fn mode_and_links_are_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (
            directory.path().join("real"),
            directory.path().join("config.toml"),
        );
        fs::write(&real, "").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        set(&link, "memory", "cpu_budget", "1GiB").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(read(&link).memory.cpu_budget, Budget::Bytes(1 << 30));
    }
}
