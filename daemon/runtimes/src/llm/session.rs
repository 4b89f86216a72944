//! Opening a graph with ONNX Runtime.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{RunOptions, Session};

use super::ComputeError;
use super::interface::Interface;
use super::threads;
use crate::LoadOptions;
use crate::package::Package;

/// ONNX Runtime is loaded once per process and stays.
static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

fn environment(library: &Path) -> Result<Environment, ComputeError> {
    let failed = |reason: String| ComputeError::Library {
        path: library.to_owned(),
        reason,
    };
    let mut loaded = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, environment)) = &*loaded {
        if path == library {
            return Ok(environment.clone());
        }
        return Err(failed(format!(
            "this process has already loaded {}",
            path.display()
        )));
    }
    if !library.is_file() {
        return Err(failed("there is no such file".to_owned()));
    }
    let environment = ort::init_from(library)
        .map_err(|error| failed(error.to_string()))?
        .with_name("airunner")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    *loaded = Some((library.to_owned(), environment.clone()));
    Ok(environment)
}

/// ONNX Runtime's own lines are for developers: what matters to a user comes back as an error.
fn log(_level: ort::logging::LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    tracing::debug!(target: "onnxruntime", place, "{message}");
}

/// A graph that is ready to compute. One thread owns it.
pub(crate) struct Model {
    pub(crate) session: Session,
    pub(crate) interface: Interface,
    /// Ends a running computation from another thread.
    pub(crate) run_options: Arc<RunOptions>,
}

impl Model {
    pub(crate) fn open(package: &Package, options: &LoadOptions) -> Result<Self, ComputeError> {
        let environment = environment(&options.onnxruntime_library)?;
        let file = package.variant();
        let failed = |source| ComputeError::Open {
            file: file.to_owned(),
            source,
        };
        let path = package
            .graph_path()
            .map_err(|error| ComputeError::Interface(error.to_string()))?;
        let threads = options.threads.unwrap_or_else(threads::default_count);
        let session = builder(&environment, threads, options.allow_spinning)
            .and_then(|mut builder| builder.commit_from_file(&path))
            .map_err(failed)?;
        let interface = Interface::read(&session, package)?;
        Ok(Self {
            session,
            interface,
            run_options: Arc::new(RunOptions::new()?),
        })
    }

    /// Options of a run after which ONNX Runtime gives back what its pool does not use.
    pub(crate) fn shrinking() -> Result<Arc<RunOptions>, ComputeError> {
        let mut options = RunOptions::new()?;
        options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        Ok(Arc::new(options))
    }
}

/// The memory pattern is off: it is planned per shape, and every step has another one. Weights
/// stay out of the pool of intermediate results, which grows in powers of two and keeps what it
/// once had.
fn builder(environment: &Environment, threads: usize, allow_spinning: bool) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(allow_spinning)?
        .with_memory_pattern(false)?
        .with_device_allocated_initializers()?)
}
