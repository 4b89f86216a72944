//! What is set where, from the file, the environment and the system. Everything here may block.

use std::path::PathBuf;
use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::settings::{Applies, Pending, Setting, SettingChange, SettingSource};

use crate::config::edit::{self, Edit};
use crate::config::{Environment, Key, Written, keys, named};

/// The section and the name of what the system knows.
const LOGIN_SECTION: &str = "desktop";
const LOGIN_KEY: &str = "start_at_login";
/// What it is by default: nothing starts by itself unless somebody wants it.
const LOGIN_DEFAULT: &str = "false";
const LOGIN_ALLOWED: &str = "true, false";
const LOGIN_HELP: &str = "the daemon, and the tray where there is one, start when this user logs in";

/// Whether this user's login starts the program. The system knows it, not the file.
pub trait Login: Send + Sync {
    fn state(&self) -> Result<bool, Fault>;
    fn set(&self, on: bool) -> Result<(), Fault>;
}

/// What somebody wants changed, checked.
#[derive(Clone, Debug)]
pub enum Wish {
    File(Edit),
    StartAtLogin(bool),
}

/// The way to the file and to the system.
#[derive(Clone)]
pub struct Book {
    path: PathBuf,
    environment: Environment,
    login: Arc<dyn Login>,
}

impl Book {
    #[must_use]
    pub fn new(path: PathBuf, environment: Environment, login: Arc<dyn Login>) -> Self {
        Self {
            path,
            environment,
            login,
        }
    }

    pub fn read(&self) -> Result<Written, Fault> {
        Ok(Written::read(&self.path, &self.environment)?)
    }

    /// Every setting, by section. `running` is what the daemon goes by, if there is one.
    pub fn list(&self, running: Option<&Written>) -> Result<Vec<Setting>, Fault> {
        let written = self.read()?;
        let mut settings: Vec<Setting> = keys().map(|key| describe(key, &written, running)).collect();
        match self.login() {
            Ok(login) => {
                let last = settings
                    .iter()
                    .rposition(|setting| setting.section == LOGIN_SECTION);
                settings.insert(last.map_or(settings.len(), |last| last + 1), login);
            }
            Err(fault) => tracing::debug!(%fault, "whether the login starts the program is not known"),
        }
        Ok(settings)
    }

    /// These settings, in this order.
    pub fn these(&self, names: &[String], running: Option<&Written>) -> Result<Vec<Setting>, Fault> {
        let written = self.read()?;
        let one = |name: &String| {
            if is_login(name) {
                self.login()
            } else {
                Ok(describe(named(name)?, &written, running))
            }
        };
        names.iter().map(one).collect()
    }

    /// What is wanted, each checked as at the start.
    pub fn wishes(&self, changes: &[SettingChange]) -> Result<Vec<Wish>, Fault> {
        changes.iter().map(|change| self.wish(change)).collect()
    }

    fn wish(&self, change: &SettingChange) -> Result<Wish, Fault> {
        if is_login(&change.name) {
            return match change.value.as_deref().unwrap_or(LOGIN_DEFAULT).trim() {
                "true" => Ok(Wish::StartAtLogin(true)),
                "false" => Ok(Wish::StartAtLogin(false)),
                other => Err(Fault::invalid(format!(
                    "{LOGIN_SECTION}.{LOGIN_KEY} cannot be {other}: it must be true or false"
                ))),
            };
        }
        let key = named(&change.name)?;
        self.refuse_overridden(key)?;
        Ok(Wish::File(match &change.value {
            Some(value) => Edit::set(key, value)?,
            None => Edit::reset(key),
        }))
    }

    /// What would be set once these are granted.
    pub fn preview(&self, wishes: &[Wish]) -> Result<Written, Fault> {
        let text = edit::preview(&self.path, &edits(wishes))?;
        Ok(Written::of(&self.path, Some(text), &self.environment)?)
    }

    /// The file first: it is what can be refused as a whole.
    pub fn grant(&self, wishes: &[Wish]) -> Result<(), Fault> {
        let edits = edits(wishes);
        if !edits.is_empty() {
            edit::change(&self.path, &edits)?;
        }
        for wish in wishes {
            if let Wish::StartAtLogin(on) = wish {
                self.login.set(*on)?;
            }
        }
        Ok(())
    }

    /// A change that would not count is refused.
    fn refuse_overridden(&self, key: &Key) -> Result<(), Fault> {
        let variable = key.variable();
        if self.environment.get(&variable).is_none() {
            return Ok(());
        }
        Err(Fault::invalid(format!(
            "{} is set by the variable {variable}, which overrides the file: take the variable away first",
            key.full_name()
        ))
        .figure("variable", variable))
    }

    fn login(&self) -> Result<Setting, Fault> {
        let on = self.login.state()?;
        Ok(Setting {
            section: LOGIN_SECTION.to_owned(),
            key: LOGIN_KEY.to_owned(),
            value: on.to_string(),
            default: LOGIN_DEFAULT.to_owned(),
            source: SettingSource::System,
            allowed: LOGIN_ALLOWED.to_owned(),
            help: LOGIN_HELP.to_owned(),
            applies: Applies::AtOnce,
            pending: Pending::Nothing,
        })
    }
}

/// What of it is the file's.
fn edits(wishes: &[Wish]) -> Vec<Edit> {
    let edit = |wish: &Wish| match wish {
        Wish::File(edit) => Some(edit.clone()),
        Wish::StartAtLogin(_) => None,
    };
    wishes.iter().filter_map(edit).collect()
}

fn is_login(name: &str) -> bool {
    name.split_once('.') == Some((LOGIN_SECTION, LOGIN_KEY))
}

fn describe(key: &Key, written: &Written, running: Option<&Written>) -> Setting {
    let differs = running.is_some_and(|running| !running.agrees(key, written));
    Setting {
        section: key.section.to_owned(),
        key: key.name.to_owned(),
        value: written.text(key),
        default: key.default.to_owned(),
        source: written.source(key),
        allowed: key.allowed.to_owned(),
        help: key.help.to_owned(),
        applies: key.applies,
        pending: match (differs, key.applies) {
            (false, _) => Pending::Nothing,
            (true, Applies::Restart) => Pending::Restart,
            (true, Applies::AtOnce | Applies::NextLoad) => Pending::Reload,
        },
    }
}
