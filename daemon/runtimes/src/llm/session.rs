//! Opening a graph with ONNX Runtime.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use airunner_kernels::attention::Element;
use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{RunOptions, Session};

use super::ComputeError;
use super::interface::Interface;
use super::prepack;
use super::rewritten;
use super::tensor::Float;
use super::threads::{self, Share};
use crate::LoadOptions;
use crate::operators::paged::Paged;
use crate::package::Package;

/// Bytes from which on a copy keeps a tensor beside its graph. ONNX Runtime 1.31.1 lays out only
/// those above 1 MiB on boundaries of pages; its kernels take packed weights that lie elsewhere
/// for other numbers, or crash. Smaller ones stay inside the graph.
const SMALLEST_OUTSIDE: &str = "1048577";

/// ONNX Runtime is loaded once per process and stays.
static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// What a library that is there may lack, where the system does not say so itself.
const NEEDED: &str = if cfg!(windows) {
    "; it needs Microsoft's Visual C++ Redistributable for x64, a recent one: `airunner doctor` says what is missing"
} else {
    ""
};

pub(crate) fn environment(library: &Path) -> Result<Environment, ComputeError> {
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
        .map_err(|error| failed(format!("{error}{NEEDED}")))?
        .with_name("airunner")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    *loaded = Some((library.to_owned(), environment.clone()));
    Ok(environment)
}

/// Loads ONNX Runtime, if that has not been done.
pub(crate) fn ready(library: &Path) -> Result<(), ComputeError> {
    environment(library).map(drop)
}

/// ONNX Runtime's own lines are for developers: what matters to a user comes back as an error.
fn log(_level: ort::logging::LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    tracing::debug!(target: "onnxruntime", place, "{message}");
}

/// A graph that is ready to compute. One thread owns it.
pub(crate) struct Model {
    pub(crate) session: Session,
    pub(crate) interface: Interface,
    /// From a copy with packed weights.
    pub(crate) is_prepacked: bool,
    /// Where that copy lies.
    pub(crate) copy: Option<PathBuf>,
    /// Where attention keeps keys and values, if it is our own.
    pub(crate) paged: Option<Arc<Paged>>,
    /// What it may use of its threads.
    pub(crate) threads: Arc<Share>,
    /// Ends a running computation from another thread.
    pub(crate) run_options: Arc<RunOptions>,
}

impl Model {
    pub(crate) fn open(package: &Package, options: &LoadOptions) -> Result<Self, ComputeError> {
        let environment = environment(&options.onnxruntime_library)?;
        let copy = options
            .prepacked_directory
            .as_deref()
            .and_then(|cache| prepack::existing(package, options, cache));
        let opened = copy.and_then(|copy| {
            let whole = copy.check(count(options)).map_err(ComputeError::from);
            let opened = whole.and_then(|()| Self::open_copy(package, options, &copy.graph()));
            copy.judge(opened)
        });
        if let Some(model) = opened {
            return Ok(model);
        }
        let path = graph_path(package)?;
        let session = builder(&environment, options)
            .and_then(|mut builder| builder.commit_from_file(&path))
            .map_err(|source| cannot_open(package, source))?;
        Self::of(session, package, options, false)
    }

    /// Opens the graph and writes a copy of it as it is after optimizing and packing.
    pub(crate) fn open_and_copy(
        package: &Package,
        options: &LoadOptions,
        graph: &Path,
        weights: &str,
    ) -> Result<Self, ComputeError> {
        let environment = environment(&options.onnxruntime_library)?;
        let path = graph_path(package)?;
        let write = || {
            builder(&environment, options)?
                .with_optimized_model_path(graph)?
                .with_config_entry("session.save_external_prepacked_constant_initializers", "1")?
                .with_config_entry("session.optimized_model_external_initializers_file_name", weights)?
                .with_config_entry(
                    "session.optimized_model_external_initializers_min_size_in_bytes",
                    SMALLEST_OUTSIDE,
                )?
                .commit_from_file(&path)
        };
        let session = write().map_err(|source: ort::Error| cannot_open(package, source))?;
        Self::of(session, package, options, false)
    }

    /// Opens such a copy of the package's graph.
    pub(crate) fn open_copy(
        package: &Package,
        options: &LoadOptions,
        graph: &Path,
    ) -> Result<Self, ComputeError> {
        let environment = environment(&options.onnxruntime_library)?;
        let directory = graph
            .parent()
            .filter(|directory| rewritten::is_rewritten(directory));
        let operators = directory
            .map(|directory| rewritten::operators(directory, options))
            .transpose()?;
        let (domain, shared) = operators.map_or((None, None), |made| {
            (Some(made.domain), Some((made.paged, made.threads)))
        });
        let open = || match domain {
            Some(domain) => builder(&environment, options)?
                .with_operators(domain)?
                .commit_from_file(graph),
            None => copy_builder(&environment, options)?.commit_from_file(graph),
        };
        let session = open().map_err(|source: ort::Error| cannot_open(package, source))?;
        let mut model = Self::of(session, package, options, true)?;
        model.copy = graph.parent().map(Path::to_owned);
        if let Some(shared) = shared {
            (model.paged, model.threads) = shared;
        }
        Ok(model)
    }

    /// What its keys and values are kept as; empty where there is no cache.
    pub(crate) fn cache_type(&self) -> &'static str {
        match self.paged.as_ref().and_then(|paged| paged.element()) {
            Some(Element::F32) => "f32",
            Some(Element::F16) => "f16",
            Some(Element::I8) => "q8",
            None if self.interface.cache.is_empty() => "",
            None => match self.interface.cache_float {
                Float::F32 => "f32",
                Float::F16 => "f16",
                Float::BF16 => "bf16",
            },
        }
    }

    fn of(
        session: Session,
        package: &Package,
        options: &LoadOptions,
        is_prepacked: bool,
    ) -> Result<Self, ComputeError> {
        let interface = Interface::read(&session, package)?;
        Ok(Self {
            session,
            interface,
            is_prepacked,
            copy: None,
            paged: None,
            threads: Arc::new(Share::fixed(count(options))),
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

fn cannot_open(package: &Package, source: ort::Error) -> ComputeError {
    ComputeError::Open {
        file: package.variant().to_owned(),
        source,
    }
}

fn graph_path(package: &Package) -> Result<PathBuf, ComputeError> {
    package
        .graph_path()
        .map_err(|error| ComputeError::Interface(error.to_string()))
}

fn count(options: &LoadOptions) -> usize {
    options.threads.unwrap_or_else(threads::default_count)
}

/// The memory pattern is off: it is planned per shape, and every step has another one. Weights
/// stay out of the pool of intermediate results, which grows in powers of two and keeps what it
/// once had.
fn builder(environment: &Environment, options: &LoadOptions) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(count(options))?
        .with_inter_threads(1)?
        .with_intra_op_spinning(options.allow_spinning)?
        .with_memory_pattern(false)?
        .with_device_allocated_initializers()?)
}

/// For a graph that has been optimized already.
fn copy_builder(environment: &Environment, options: &LoadOptions) -> ort::Result<SessionBuilder> {
    Ok(builder(environment, options)?.with_optimization_level(GraphOptimizationLevel::Disable)?)
}
