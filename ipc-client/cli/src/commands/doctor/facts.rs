//! Looking at this installation and its daemon.

use std::path::{Path, PathBuf};

use airunner_core::Fault;
use airunner_core::status::DaemonStatus;
use airunner_ipc_client::{Client, Endpoint, Places};
use airunner_platform::{Installation, VisualCpp, disk, process};

use super::runtime_version;
use crate::connection::places;
use crate::failure::Failure;
use crate::run::Context;
use crate::system::{self, Memory};

#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Of this command.
    pub(crate) version: &'static str,
    pub(crate) daemon: Result<DaemonStatus, Fault>,
    /// The daemon's program is not the file any more that it was started from.
    pub(crate) replaced: bool,
    pub(crate) library: Option<Library>,
    /// What the library needs of Microsoft's, where it does.
    pub(crate) visual_cpp: Option<VisualCpp>,
    pub(crate) builtin_models: Vec<String>,
    pub(crate) socket: Place,
    pub(crate) directories: Vec<Place>,
    pub(crate) free_disk: Option<u64>,
    pub(crate) memory: Option<Memory>,
}

/// ONNX Runtime.
#[derive(Clone, Debug)]
pub(super) struct Library {
    pub(crate) path: PathBuf,
    pub(crate) exists: bool,
    pub(crate) version: Option<(u32, u32, u32)>,
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(crate) check: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Private,
    Open,
    Missing,
}

impl Facts {
    pub(super) async fn gather(context: &Context) -> Result<Self, Failure> {
        let places = places()?;
        let daemon = status(&places).await;
        let installation = Installation::locate().ok();
        let library = match &daemon {
            // What the daemon found is what counts, once there is one.
            Ok(status) => status.onnxruntime_library.clone().map(PathBuf::from),
            Err(_) => context
                .environment
                .onnxruntime_library
                .clone()
                .or_else(|| installation.as_ref().and_then(Installation::onnxruntime_library)),
        };
        let directories = [
            ("config", &places.config),
            ("data", &places.data),
            ("state", &places.state),
            ("runtime", &places.runtime),
        ];
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            visual_cpp: library.as_deref().and_then(VisualCpp::wanted_by),
            library: library.map(|path| Library {
                exists: path.is_file(),
                version: runtime_version::of(&path),
                path,
            }),
            builtin_models: builtin_models(&daemon, installation.as_ref()),
            replaced: daemon
                .as_ref()
                .is_ok_and(|status| process::program_was_replaced(status.pid)),
            daemon,
            socket: place("socket", &places.socket()),
            directories: directories.map(|(check, path)| place(check, path)).into(),
            free_disk: existing_ancestor(&places.data).and_then(disk::available_space),
            memory: system::memory(),
        })
    }
}

/// The daemon's status with every installed model.
async fn status(places: &Places) -> Result<DaemonStatus, Fault> {
    let client = Client::connect(&Endpoint::of_daemon(places)).await?;
    let models = client.models().list().await?;
    Ok(DaemonStatus {
        models,
        ..client.control().status().await?
    })
}

fn builtin_models(daemon: &Result<DaemonStatus, Fault>, installation: Option<&Installation>) -> Vec<String> {
    if let Ok(status) = daemon {
        let builtin = status.models.iter().filter(|model| model.name.is_builtin());
        return builtin.map(|model| model.name.to_string()).collect();
    }
    let directory = installation.map(Installation::builtin_models);
    let entries = directory.and_then(|directory| std::fs::read_dir(directory).ok());
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    names
        .map(|name| format!("builtin/{}", name.to_string_lossy()))
        .collect()
}

fn place(check: &'static str, path: &Path) -> Place {
    let access = match system::is_open_to_others(path) {
        Ok(true) => Access::Open,
        Ok(false) => Access::Private,
        Err(_) => Access::Missing,
    };
    Place {
        check,
        path: path.to_path_buf(),
        access,
    }
}

fn existing_ancestor(path: &Path) -> Option<&Path> {
    path.ancestors().find(|path| path.is_dir())
}
