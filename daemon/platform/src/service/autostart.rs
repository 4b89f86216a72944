//! The tray among the programs that start with the desktop.

use std::path::{Path, PathBuf};

use super::commands::{Call, Commands, demand, run};
use super::launchd::{TRAY_LABEL, tray_property_list};
use super::surroundings::Surroundings;
use super::{ServiceError, text, written};

const DESKTOP_FILE: &str = "airunner-tray.desktop";
const RUN_KEY: &str = "HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run";
const RUN_NAME: &str = "AI Runner";
/// Tells the tray that nobody waits for it.
pub(super) const IN_BACKGROUND: &str = "--background";

/// How desktops are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A desktop entry in the XDG autostart directory.
    DesktopEntry,
    /// An agent of launchd that lives in the graphical session.
    Agent,
    /// A value in the registry.
    RunKey,
}

impl Kind {
    const fn of_this_system() -> Self {
        if cfg!(target_os = "macos") {
            Self::Agent
        } else if cfg!(windows) {
            Self::RunKey
        } else {
            Self::DesktopEntry
        }
    }
}

/// The tray's entry of one user.
#[derive(Clone, Debug)]
pub struct Autostart<'a, C> {
    kind: Kind,
    surroundings: &'a Surroundings,
    commands: &'a C,
}

impl<'a, C: Commands> Autostart<'a, C> {
    #[must_use]
    pub const fn new(surroundings: &'a Surroundings, commands: &'a C) -> Self {
        Self {
            kind: Kind::of_this_system(),
            surroundings,
            commands,
        }
    }

    #[cfg(test)]
    const fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// True if the tray starts with the desktop.
    pub async fn is_set(&self) -> Result<bool, ServiceError> {
        match self.kind {
            Kind::DesktopEntry => Ok(is_shown(&self.file())),
            Kind::Agent => Ok(self.file().exists()),
            Kind::RunKey => {
                let query = Call::new("reg", ["query", RUN_KEY, "/v", RUN_NAME]);
                Ok(run(self.commands, query).await?.success)
            }
        }
    }

    /// Puts it there, or brings it up to date.
    pub async fn set(&self, tray: &Path) -> Result<(), ServiceError> {
        match self.kind {
            Kind::DesktopEntry => written::write(&self.file(), desktop_entry(tray)?.as_bytes()).map(drop),
            Kind::Agent => written::write(&self.file(), tray_property_list(tray)?.as_bytes()).map(drop),
            Kind::RunKey => {
                let command = format!("\"{}\" {IN_BACKGROUND}", text::of_path(tray)?);
                let add = [
                    "add", RUN_KEY, "/v", RUN_NAME, "/t", "REG_SZ", "/d", &command, "/f",
                ];
                demand(self.commands, Call::new("reg", add)).await.map(drop)
            }
        }
    }

    /// Takes it away. What is not there is no error.
    pub async fn clear(&self) -> Result<(), ServiceError> {
        if self.kind == Kind::RunKey {
            if self.is_set().await? {
                demand(
                    self.commands,
                    Call::new("reg", ["delete", RUN_KEY, "/v", RUN_NAME, "/f"]),
                )
                .await?;
            }
            return Ok(());
        }
        let path = self.file();
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(ServiceError::Remove { path, source }),
        }
    }

    fn file(&self) -> PathBuf {
        let name = match self.kind {
            Kind::DesktopEntry | Kind::RunKey => DESKTOP_FILE.to_owned(),
            Kind::Agent => format!("{TRAY_LABEL}.plist"),
        };
        self.surroundings.autostart.join(name)
    }
}

/// Desktops switch an entry off by hiding it.
fn is_shown(file: &Path) -> bool {
    let hides = |line: &str| matches!(line.trim(), "Hidden=true" | "X-GNOME-Autostart-enabled=false");
    std::fs::read_to_string(file).is_ok_and(|entry| !entry.lines().any(hides))
}

/// The tray's entry. `TryExec` makes one whose program was removed harmless.
pub fn desktop_entry(executable: &Path) -> Result<String, ServiceError> {
    let path = text::of_path(executable)?;
    if path.contains('=') {
        return Err(ServiceError::Path {
            path: executable.to_path_buf(),
            why: "a desktop entry takes no program whose path has an equals sign",
        });
    }
    Ok(format!(
        "[Desktop Entry]\n\
         Type=Application\n\
         Name=AI Runner\n\
         Comment=AI models on this machine\n\
         Exec={} {IN_BACKGROUND}\n\
         TryExec={}\n\
         Icon=airunner\n\
         Terminal=false\n\
         NoDisplay=true\n\
         X-GNOME-Autostart-enabled=true\n",
        string(&argument(path)),
        string(path)
    ))
}

/// One argument of `Exec`: in double quotes, where four characters need a backslash, and a
/// percent sign always needs another.
fn argument(path: &str) -> String {
    let mut quoted = String::from("\"");
    for character in path.chars() {
        match character {
            '"' | '`' | '$' | '\\' => quoted.extend(['\\', character]),
            '%' => quoted.push_str("%%"),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A value of the type string, in which a backslash begins an escape.
fn string(value: &str) -> String {
    value.replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Recorder, places_in, surroundings};
    use super::*;

    /// Reads a value of the type string.
    fn unescape(value: &str) -> String {
        let mut text = String::new();
        let mut characters = value.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                text.push(character);
                continue;
            }
            text.push(match characters.next().expect("an escape is whole") {
                's' => ' ',
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '\\' => '\\',
                other => panic!("\\{other} is no escape of a desktop entry"),
            });
        }
        text
    }

    /// Splits `Exec` into words, as the specification says.
    fn words(exec: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut characters = exec.chars().peekable();
        while let Some(first) = characters.next() {
            assert_eq!(first, '"', "everything is quoted: {exec}");
            let mut word = String::new();
            loop {
                match characters.next().expect("a quote is closed") {
                    '"' => break,
                    '\\' => {
                        let escaped = characters.next().expect("an escape is whole");
                        assert!("\"`$\\".contains(escaped), "{exec}");
                        word.push(escaped);
                    }
                    '%' => {
                        assert_eq!(characters.next(), Some('%'), "no field code: {exec}");
                        word.push('%');
                    }
                    plain => {
                        assert!(!"`$".contains(plain), "{exec}");
                        word.push(plain);
                    }
                }
            }
            words.push(word);
            assert!(matches!(characters.next(), None | Some(' ')), "{exec}");
        }
        words
    }

    fn value<'a>(entry: &'a str, key: &str) -> &'a str {
        let values: Vec<&str> = entry
            .lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .collect();
        assert_eq!(values.len(), 1, "{key}: {entry}");
        values[0]
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(tail in "[^\\p{Cc}=]{0,40}", hostile in "[ \"'`$\\\\%äß&;<>|*?#()]{0,12}") {
            let path = format!("/{hostile}{tail}/airunner-tray");
            let entry = desktop_entry(Path::new(&path)).unwrap();
            let command = unescape(value(&entry, "Exec"));
            let program = command.strip_suffix(IN_BACKGROUND).unwrap().trim_end();
            proptest::prop_assert_eq!(words(program), vec![path.clone()]);
            proptest::prop_assert_eq!(unescape(value(&entry, "TryExec")), path);
        }
    }

    #[test]
    fn a_plain_path_looks_plain() {
        let entry = desktop_entry(Path::new("/usr/bin/airunner-tray")).unwrap();
        assert_eq!(value(&entry, "Exec"), "\"/usr/bin/airunner-tray\" --background");
        assert!(desktop_entry(Path::new("/a\nExec=b")).is_err());
        assert!(desktop_entry(Path::new("/a=b/tray")).is_err());
    }

    #[tokio::test]
    async fn an_entry_comes_and_goes_and_one_that_a_desktop_hides_does_not_count() {
        let home = tempfile::tempdir().unwrap();
        let surroundings = surroundings(places_in(&home), &home, "1000");
        let commands = Recorder::default();
        for kind in [Kind::DesktopEntry, Kind::Agent] {
            let autostart = Autostart::new(&surroundings, &commands).of_kind(kind);
            autostart.clear().await.unwrap();
            assert!(!autostart.is_set().await.unwrap());
            autostart
                .set(Path::new("/opt/ai runner/airunner-tray"))
                .await
                .unwrap();
            assert!(autostart.is_set().await.unwrap());
        }
        let autostart = Autostart::new(&surroundings, &commands).of_kind(Kind::DesktopEntry);
        let entry = std::fs::read_to_string(autostart.file()).unwrap();
        std::fs::write(autostart.file(), entry + "Hidden=true\n").unwrap();
        assert!(!autostart.is_set().await.unwrap());
        autostart.clear().await.unwrap();
        assert!(!autostart.file().exists());
        assert!(commands.calls().is_empty());
    }

    #[tokio::test]
    async fn windows_has_it_in_the_registry() {
        let home = tempfile::tempdir().unwrap();
        let surroundings = surroundings(places_in(&home), &home, "ann");
        let commands = Recorder::default();
        let autostart = Autostart::new(&surroundings, &commands).of_kind(Kind::RunKey);
        autostart
            .set(Path::new("C:\\AI Runner\\airunner-tray.exe"))
            .await
            .unwrap();
        autostart.clear().await.unwrap();
        let calls = commands.calls();
        let data = "/t REG_SZ /d \"C:\\AI Runner\\airunner-tray.exe\" --background /f";
        assert!(
            calls[0].starts_with("reg add ") && calls[0].ends_with(data),
            "{calls:?}"
        );
        assert!(calls[2].starts_with("reg delete "), "{calls:?}");
    }
}
