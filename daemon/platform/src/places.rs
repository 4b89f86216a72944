//! Where things are kept.

use std::io;
use std::path::{Path, PathBuf};

use airunner_core::{ErrorKind, Fault, error};

use crate::endpoint::{LONGEST_PATH, fallback_runtime_directory, usual_session_directory};
use crate::io_error::kind_of;
use crate::private;

/// Puts everything under one directory.
pub const HOME_VARIABLE: &str = "AIRUNNER_HOME";

/// Longest file name that is ever put into the runtime directory, with its separator.
const LONGEST_SOCKET_NAME: usize = "/workers/4194304-4294967295.sock".len();

/// The directories of one user's AI Runner. All absolute; none need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Holds `config.toml`.
    pub config: PathBuf,
    /// Holds `models/`.
    pub data: PathBuf,
    /// Holds the logs.
    pub state: PathBuf,
    /// Holds what can be made again.
    pub cache: PathBuf,
    /// Holds the sockets, the lock and the pid file; private to the user.
    pub runtime: PathBuf,
}

/// Why the directories cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    #[error("this user has no home directory: set {HOME_VARIABLE} to a directory for AI Runner")]
    NoHome,
    #[error("{HOME_VARIABLE} is \"{}\", which is not a usable path", path.display())]
    BadHome { path: PathBuf, source: io::Error },
    #[error("cannot create the directory {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("{} is not safe for sockets", path.display())]
    Unsafe {
        path: PathBuf,
        source: private::NotPrivate,
    },
}

impl From<PlacesError> for Fault {
    fn from(error: PlacesError) -> Self {
        let kind = match &error {
            PlacesError::NoHome | PlacesError::BadHome { .. } => ErrorKind::InvalidConfig,
            PlacesError::Unsafe { .. } => ErrorKind::PermissionDenied,
            PlacesError::Create { source, .. } => kind_of(source),
        };
        Self::new(kind, error::chain(&error))
    }
}

impl Places {
    /// The places this user's environment chooses.
    pub fn from_environment() -> Result<Self, PlacesError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "clients and daemon must find each other before any configuration is read"
        )]
        let home = std::env::var_os(HOME_VARIABLE).filter(|home| !home.is_empty());
        match home {
            Some(home) => {
                let path = PathBuf::from(home);
                let absolute = std::path::absolute(&path);
                absolute
                    .map(|home| Self::under(&home))
                    .map_err(|source| PlacesError::BadHome { path, source })
            }
            None => Self::of_user(),
        }
    }

    /// Everything under one directory, which must be absolute.
    #[must_use]
    pub fn under(home: &Path) -> Self {
        Self {
            config: home.join("config"),
            data: home.join("data"),
            state: home.join("state"),
            cache: home.join("cache"),
            runtime: short_enough(home.join("run")),
        }
    }

    fn of_user() -> Result<Self, PlacesError> {
        let user = directories::ProjectDirs::from("", "", "airunner").ok_or(PlacesError::NoHome)?;
        let state = user
            .state_dir()
            .map_or_else(|| user.data_local_dir().join("state"), Path::to_path_buf);
        let runtime =
            session_directory().map_or_else(|| state.join("run"), |session| session.join("airunner"));
        Ok(Self {
            config: user.config_dir().to_path_buf(),
            // Models are too large to follow a user from machine to machine.
            data: user.data_local_dir().to_path_buf(),
            state,
            cache: user.cache_dir().to_path_buf(),
            runtime: short_enough(runtime),
        })
    }

    /// Makes the directories that do not exist. The runtime directory must be this user's alone.
    pub fn create(&self) -> Result<(), PlacesError> {
        for path in [&self.config, &self.data, &self.state, &self.cache] {
            private::create(path).map_err(|source| PlacesError::Create {
                path: path.clone(),
                source,
            })?;
        }
        if let Some(parent) = fallback_runtime_directory(&self.runtime)
            .parent()
            .filter(|parent| self.runtime.starts_with(parent))
        {
            create_checked(parent)?;
        }
        create_checked(&self.runtime)?;
        create_checked(&self.workers())
    }

    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The installed models.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.data.join("models")
    }

    /// Copies of models with packed weights.
    #[must_use]
    pub fn prepacked(&self) -> PathBuf {
        self.cache.join("prepacked")
    }

    /// What models computed of conversations.
    #[must_use]
    pub fn conversations(&self) -> PathBuf {
        self.cache.join("conversations")
    }

    /// The current log; older ones beside it as `airunner.log.1` and so on.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.state.join("airunner.log")
    }

    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("airunnerd.sock")
    }

    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.runtime.join("airunnerd.lock")
    }

    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.runtime.join("airunnerd.pid")
    }

    /// The sockets of the workers.
    #[must_use]
    pub fn workers(&self) -> PathBuf {
        self.runtime.join("workers")
    }
}

/// The directory that the login made for this user. Found also by processes that were not told of
/// it, as by `su` or `cron`, so that they meet the same daemon. Without a login there is none.
pub(crate) fn session_directory() -> Option<PathBuf> {
    let told = directories::BaseDirs::new().and_then(|user| user.runtime_dir().map(Path::to_path_buf));
    let mine = |path: &PathBuf| private::is_mine(path);
    told.filter(mine).or_else(usual_session_directory).filter(mine)
}

fn create_checked(path: &Path) -> Result<(), PlacesError> {
    private::create(path).map_err(|source| PlacesError::Create {
        path: path.to_path_buf(),
        source,
    })?;
    private::check(path).map_err(|source| PlacesError::Unsafe {
        path: path.to_path_buf(),
        source,
    })
}

/// The directory itself, or a short one that stands for it if socket names in it would be too
/// long for the operating system.
fn short_enough(directory: PathBuf) -> PathBuf {
    let length = directory.as_os_str().len() + LONGEST_SOCKET_NAME;
    if length <= LONGEST_PATH {
        directory
    } else {
        fallback_runtime_directory(&directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_home_holds_everything() {
        let home = std::path::absolute("/somewhere").unwrap();
        let places = Places::under(&home);
        for path in [
            places.config_file(),
            places.models(),
            places.log_file(),
            places.prepacked(),
            places.conversations(),
            places.socket(),
        ] {
            assert!(path.starts_with(&home), "{}", path.display());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_long_home_gets_short_and_distinct_socket_names() {
        let long = |name: &str| Places::under(&PathBuf::from(format!("/{}/{name}", "x".repeat(200))));
        let (one, two) = (long("one"), long("two"));
        assert_ne!(one.runtime, two.runtime);
        assert_eq!(one.runtime, long("one").runtime);
        let longest = one.workers().join("4194304-4294967295.sock");
        assert!(longest.as_os_str().len() <= LONGEST_PATH, "{}", longest.display());
    }

    #[cfg(unix)]
    #[test]
    fn created_directories_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let places = Places::under(&directory.path().join("home"));
        places.create().unwrap();
        places.create().unwrap();
        for path in [
            &places.config,
            &places.data,
            &places.state,
            &places.cache,
            &places.runtime,
        ] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", path.display());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_runtime_directory_that_is_a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::under(directory.path());
        let elsewhere = directory.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &places.runtime).unwrap();
        assert!(matches!(places.create(), Err(PlacesError::Unsafe { .. })));
    }
}
