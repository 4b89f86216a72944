//! The arguments between the daemon and the process that makes a copy, written and read in one
//! place.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use airunner_core::Fault;
use airunner_platform::ChildLimits;
use airunner_runtimes::Kernels;

use crate::config::LogLevel;

/// The subcommand.
pub const PREPACK: &str = "prepack";

const MODEL: &str = "--model";
const DIRECTORY: &str = "--directory";
const VARIANT: &str = "--variant";
const CACHE: &str = "--cache";
const LIBRARY: &str = "--library";
const THREADS: &str = "--threads";
const KERNELS: &str = "--kernels";
const ADDRESS_SPACE: &str = "--address-space";
const OPEN_FILES: &str = "--open-files";
const LOG_LEVEL: &str = "--log-level";

/// What to copy, from where to where.
#[derive(Clone, Debug, PartialEq)]
pub struct PrepackArguments {
    pub model: String,
    pub directory: PathBuf,
    pub variant: String,
    pub cache: PathBuf,
    pub onnxruntime_library: PathBuf,
    pub threads: usize,
    pub kernels: Kernels,
    pub limits: ChildLimits,
    pub log_level: LogLevel,
}

impl PrepackArguments {
    /// The command line.
    #[must_use]
    pub fn to_line(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec![PREPACK.into()];
        let mut add = |name: &str, value: &OsStr| line.extend([name.into(), value.to_owned()]);
        add(MODEL, self.model.as_ref());
        add(DIRECTORY, self.directory.as_os_str());
        add(VARIANT, self.variant.as_ref());
        add(CACHE, self.cache.as_os_str());
        add(LIBRARY, self.onnxruntime_library.as_os_str());
        add(THREADS, self.threads.to_string().as_ref());
        add(KERNELS, self.kernels.to_string().as_ref());
        add(LOG_LEVEL, self.log_level.as_str().as_ref());
        for (name, value) in [
            (ADDRESS_SPACE, self.limits.address_space),
            (OPEN_FILES, self.limits.open_files),
        ] {
            if let Some(value) = value {
                add(name, value.to_string().as_ref());
            }
        }
        line
    }

    /// Reads what [`to_line`](Self::to_line) wrote, without the subcommand.
    pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Self, Fault> {
        let mut line = line.into_iter();
        let mut parsed = Self {
            model: String::new(),
            directory: PathBuf::new(),
            variant: String::new(),
            cache: PathBuf::new(),
            onnxruntime_library: PathBuf::new(),
            threads: 1,
            kernels: Kernels::Auto,
            limits: ChildLimits::default(),
            log_level: LogLevel::Info,
        };
        while let Some(name) = line.next() {
            let value = line.next().ok_or_else(|| bad(&name))?;
            parsed.take(&name, value)?;
        }
        let is_whole = !parsed.model.is_empty()
            && [&parsed.directory, &parsed.cache, &parsed.onnxruntime_library]
                .iter()
                .all(|path| path.is_absolute());
        if is_whole {
            Ok(parsed)
        } else {
            Err(bad(&OsString::from(DIRECTORY)))
        }
    }

    fn take(&mut self, name: &OsString, value: OsString) -> Result<(), Fault> {
        match name.to_str() {
            Some(MODEL) => self.model = text(name, value)?,
            Some(VARIANT) => self.variant = text(name, value)?,
            Some(DIRECTORY) => self.directory = value.into(),
            Some(CACHE) => self.cache = value.into(),
            Some(LIBRARY) => self.onnxruntime_library = value.into(),
            Some(THREADS) => self.threads = parsed(name, value)?,
            Some(KERNELS) => self.kernels = parsed(name, value)?,
            Some(ADDRESS_SPACE) => self.limits.address_space = Some(parsed(name, value)?),
            Some(OPEN_FILES) => self.limits.open_files = Some(parsed(name, value)?),
            Some(LOG_LEVEL) => {
                let known = LogLevel::ALL.into_iter().find(|level| value == level.as_str());
                self.log_level = known.ok_or_else(|| bad(name))?;
            }
            Some(_) | None => return Err(bad(name)),
        }
        Ok(())
    }
}

fn text(name: &OsString, value: OsString) -> Result<String, Fault> {
    value.into_string().map_err(|_| bad(name))
}

fn parsed<T: std::str::FromStr>(name: &OsString, value: OsString) -> Result<T, Fault> {
    text(name, value)?.parse().map_err(|_| bad(name))
}

fn bad(name: &OsString) -> Fault {
    Fault::invalid(format!(
        "{} is not understood: only the daemon makes copies of models",
        name.to_string_lossy()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_writes_the_process_reads() {
        let root = std::path::absolute("/x y").unwrap();
        let arguments = PrepackArguments {
            model: "owner/name".to_owned(),
            directory: root.join("model"),
            variant: "onnx/model_q4.onnx".to_owned(),
            cache: root.join("cache"),
            onnxruntime_library: root.join("library"),
            threads: 3,
            kernels: Kernels::Off,
            limits: ChildLimits {
                address_space: Some(1 << 34),
                open_files: None,
            },
            log_level: LogLevel::Debug,
        };
        let line = arguments.to_line();
        assert_eq!(line[0], PREPACK);
        assert_eq!(
            PrepackArguments::parse(line.into_iter().skip(1)).unwrap(),
            arguments
        );
        for line in [
            &[][..],
            &["--model"],
            &["--evil", "x"],
            &["--threads", "many"],
            &["--kernels", "mmx"],
        ] {
            assert!(
                PrepackArguments::parse(line.iter().map(OsString::from)).is_err(),
                "{line:?}"
            );
        }
    }
}
