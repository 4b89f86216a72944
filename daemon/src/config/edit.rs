//! Changing one setting in the file, for settings that can be changed while the daemon runs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use airunner_platform::files;
use toml_edit::{DocumentMut, Item, Table, Value};

use super::error::{ConfigError, Origin};
use super::file;
use super::keys::KEYS;
use super::settings::Settings;
use super::value::Raw;

/// Writes one value into the file, which is made if there is none. Comments, order and
/// everything else stay as they are, and a reader sees the old file or the new one. A file that
/// cannot be read as TOML is left alone.
pub fn set(path: &Path, section: &str, key: &str, value: impl Into<Value>) -> Result<(), ConfigError> {
    let value = value.into();
    check(section, key, &value)?;
    let text = file::text(path)?.unwrap_or_default();
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let before = error.span().map_or(0, |span| span.start).min(text.len());
        ConfigError::Syntax {
            origin: Origin::File {
                path: path.to_path_buf(),
                line: 1 + text.as_bytes()[..before]
                    .iter()
                    .filter(|&&byte| byte == b'\n')
                    .count(),
            },
            message: error.message().to_owned(),
        }
    })?;
    put(&mut document, section, key, value);
    replace(path, document.to_string().as_bytes()).map_err(|source| ConfigError::Write {
        path: path.to_path_buf(),
        source,
    })
}

fn check(section: &str, key: &str, value: &Value) -> Result<(), ConfigError> {
    let found = KEYS
        .iter()
        .find(|known| known.section == section && known.name == key);
    let Some(found) = found else {
        return Err(ConfigError::NoSuchKey {
            section: section.to_owned(),
            key: key.to_owned(),
        });
    };
    (found.set)(&mut Settings::default(), Raw::File(value)).map_err(|allowed| ConfigError::Refused {
        key: format!("{section}.{key}"),
        value: value.to_string().trim().to_owned(),
        allowed,
    })
}

fn put(document: &mut DocumentMut, section: &str, key: &str, mut value: Value) {
    let table = document
        .entry(section)
        .or_insert_with(|| Item::Table(Table::new()));
    let Some(table) = table.as_table_like_mut() else {
        // Not a section, so no setting is lost.
        let mut replacement = Table::new();
        replacement.insert(key, Item::Value(value));
        *table = Item::Table(replacement);
        return;
    };
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

/// A file that is a link stays one: what it leads to is replaced.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let directory = target.parent().unwrap_or(Path::new("."));
    let incoming = beside(&target);
    let written = write(&incoming, &target, contents)
        .and_then(|()| fs::rename(&incoming, &target))
        .and_then(|()| files::sync_directory(directory));
    if written.is_err() {
        // It is not there if it has become the file.
        drop(fs::remove_file(&incoming));
    }
    written
}

fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}", std::process::id()))
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
        fs::write(&path, "\n[memory\n").unwrap();
        let error = set(&path, "memory", "cpu_budget", "1MiB")
            .unwrap_err()
            .to_string();
        assert!(error.contains("config.toml line 2: this is not TOML"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "\n[memory\n");
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
