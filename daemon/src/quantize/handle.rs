//! A model being made smaller, from request to announcement.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use airunner_core::hardware::Device;
use airunner_core::model::Source;
use airunner_core::quantize::{
    QuantizeEvent, QuantizeLevel, QuantizeProgress, QuantizeRequest, QuantizeStage,
};
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_platform::{ChildLimits, disk};
use airunner_runtimes::quantize::{MOST_TOKENS, Needs, needs};
use tokio::sync::{Semaphore, mpsc, watch};

use super::options::QuantizeArguments;
use super::process::make;
use crate::config::LogLevel;
use crate::models::store::Staging;
use crate::models::{Installed, Models, Reservation};

/// Progress, then the new model and the report, or an error.
pub type QuantizeEvents = mpsc::Receiver<Result<QuantizeEvent, Fault>>;

const CAPACITY: usize = 16;
/// A text's beginning that is compared on, bytes: more than the tokens take that are used.
const TEXT_BYTES: usize = 32 * MOST_TOKENS;
/// In the new package until it is made one; hidden, so that it is not part of it.
const TEXT_FILE: &str = ".text";

/// How models are made smaller.
#[derive(Clone, Debug)]
pub struct QuantizeOptions {
    /// The executable that has the `quantize` subcommand.
    pub executable: PathBuf,
    /// Without it models are not compared.
    pub onnxruntime_library: Option<PathBuf>,
    pub threads: usize,
    pub limits: ChildLimits,
    pub log_level: LogLevel,
}

/// The way to smaller models.
#[derive(Clone)]
pub struct Quantizer {
    models: Models,
    options: Arc<QuantizeOptions>,
    /// One at a time: each takes all processors.
    turn: Arc<Semaphore>,
    working: watch::Sender<bool>,
}

/// A model is being made, until dropped.
struct Working(watch::Sender<bool>);

impl Working {
    fn begin(working: &watch::Sender<bool>) -> Self {
        working.send_replace(true);
        Self(working.clone())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Quantizer {
    #[must_use]
    pub fn new(models: Models, options: QuantizeOptions) -> Self {
        Self {
            models,
            options: Arc::new(options),
            turn: Arc::new(Semaphore::new(1)),
            working: watch::Sender::new(false),
        }
    }

    /// Whether a model is being made.
    #[must_use]
    pub fn working(&self) -> watch::Receiver<bool> {
        self.working.subscribe()
    }

    /// Whether a request can be begun at all: the model is there, the new name is free, and nobody
    /// has paused the program.
    pub fn check(&self, request: &QuantizeRequest) -> Result<ModelName, Fault> {
        request.validate()?;
        if let Some(pause) = self.models.paused() {
            return Err(pause.refusal(SystemTime::now()));
        }
        self.models.model(&request.model)?;
        let target = request.target()?;
        self.models.store().check_name(&target, &self.listed())?;
        Ok(target)
    }

    /// Begins; dropping the events abandons it.
    #[must_use]
    pub fn quantize(&self, request: QuantizeRequest) -> QuantizeEvents {
        let (sender, events) = mpsc::channel(CAPACITY);
        let quantizer = self.clone();
        tokio::spawn(async move {
            let caller = sender.clone();
            let outcome = tokio::select! {
                outcome = quantizer.run(request, &sender) => outcome,
                // Who waits for nothing any more gets nothing; the process ends with this.
                () = caller.closed() => return,
            };
            if caller.send(outcome).await.is_err() {
                tracing::debug!("nobody waits for the quantized model any more");
            }
        });
        events
    }

    fn listed(&self) -> Vec<ModelName> {
        self.models.list().into_iter().map(|model| model.name).collect()
    }

    async fn run(
        &self,
        request: QuantizeRequest,
        sender: &mpsc::Sender<Result<QuantizeEvent, Fault>>,
    ) -> Result<QuantizeEvent, Fault> {
        let tell = |stage, fraction| {
            let progress = QuantizeProgress { stage, fraction };
            // A reader that is slow misses intermediate progress, which the next replaces.
            drop(sender.try_send(Ok(QuantizeEvent::Progress(progress))));
        };
        let turn = if let Ok(turn) = self.turn.try_acquire() {
            Ok(turn)
        } else {
            tell(QuantizeStage::Waiting, 0.0);
            self.turn.acquire().await
        };
        let _turn = turn.map_err(|_| shutting_down())?;
        tell(QuantizeStage::Checking, 0.0);
        let _working = Working::begin(&self.working);
        let name = self.check(&request)?;
        let from = self.models.find(&request.model).await?;
        let needs = self.needs(&from, &request).await?;
        let (compares, _reservation) = self.reserve(&needs).await?;
        let store = self.models.store();
        let staging = blocking(move || Ok(store.stage()?)).await?;
        let arguments = self.arguments(&from, &request, &staging, compares).await?;
        let mut told = |progress: QuantizeProgress| tell(progress.stage, progress.fraction);
        let mut report = make(&self.options.executable, &arguments, &mut told).await?;
        if !compares {
            let why = "the models were not compared: there is not enough free memory to load both in turn";
            report.warnings.push(why.to_owned());
        }
        tell(QuantizeStage::Publishing, 1.0);
        // Beside the caller, who may leave: a model that is there is announced as well.
        let (quantizer, target, level) = (self.clone(), name.clone(), request.level);
        let caller = sender.clone();
        let publishing = tokio::spawn(async move {
            quantizer
                .publish(staging, from, target, level, move || caller.is_closed())
                .await
        });
        let published = publishing.await;
        published.map_err(|error| Fault::internal(format!("the model was not made: {error}")))??;
        Ok(QuantizeEvent::Installed {
            model: Box::new(self.models.model(&name)?),
            report: Box::new(report),
        })
    }

    /// What it takes; a disk without room for that is told before anything is written.
    async fn needs(&self, from: &Installed, request: &QuantizeRequest) -> Result<Needs, Fault> {
        let (directory, level) = (from.directory.clone(), request.level);
        let store = self.models.store();
        blocking(move || {
            let needs = needs(&directory, level)?;
            match disk::available_space(store.directory()) {
                Some(available) if available < needs.disk => Err(no_room(needs.disk, available)),
                Some(_) | None => Ok(needs),
            }
        })
        .await
    }

    /// Memory that is free now: nobody has to go for this. Without enough for a comparison there
    /// is none.
    async fn reserve(&self, needs: &Needs) -> Result<(bool, Reservation), Fault> {
        if let Ok(reservation) = self.models.try_reserve(Device::Cpu, needs.compare_memory).await {
            return Ok((true, reservation));
        }
        let reservation = self.models.try_reserve(Device::Cpu, needs.memory).await?;
        Ok((false, reservation))
    }

    async fn arguments(
        &self,
        from: &Installed,
        request: &QuantizeRequest,
        staging: &Staging,
        compares: bool,
    ) -> Result<QuantizeArguments, Fault> {
        let options = &*self.options;
        let text = match &request.text {
            Some(text) if compares => {
                let path = staging.directory().join(TEXT_FILE);
                write_text(path.clone(), text).await?;
                Some(path)
            }
            Some(_) | None => None,
        };
        Ok(QuantizeArguments {
            model: from.name.to_string(),
            directory: from.directory.clone(),
            level: request.level.as_str().to_owned(),
            out: staging.directory().to_path_buf(),
            compares,
            text,
            onnxruntime_library: options.onnxruntime_library.clone(),
            threads: options.threads,
            address_space: options.limits.address_space,
            open_files: options.limits.open_files,
            log_level: options.log_level.as_str().to_owned(),
        })
    }

    async fn publish(
        &self,
        staging: Staging,
        from: Installed,
        name: ModelName,
        level: QuantizeLevel,
        is_given_up: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), Fault> {
        let (store, models) = (self.models.store(), self.models.clone());
        let listed = self.listed();
        let source = Source::Import(format!("{} ({})", from.name, level.as_str()));
        let installed = blocking(move || {
            remove_text(staging.directory())?;
            let is_cancelled = || is_given_up() || models.is_shutting_down();
            Ok(store.publish_made(staging, &from, &name, source, &listed, &is_cancelled)?)
        })
        .await?;
        self.models.installed(installed).await
    }
}

async fn write_text(path: PathBuf, text: &str) -> Result<(), Fault> {
    let end = (0..=TEXT_BYTES.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    let beginning = text[..end.unwrap_or(0)].to_owned();
    blocking(move || {
        let written = std::fs::write(&path, beginning);
        written.map_err(|error| Fault::internal(format!("cannot keep the text to compare on: {error}")))
    })
    .await
}

fn remove_text(directory: &Path) -> Result<(), Fault> {
    match std::fs::remove_file(directory.join(TEXT_FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Fault::internal(format!(
            "cannot remove the text compared on: {error}"
        ))),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn no_room(needed: u64, available: u64) -> Fault {
    let message = format!(
        "the quantized model takes up to {needed} bytes, but the disk of the models has {available} free: make room"
    );
    Fault::new(ErrorKind::DiskFull, message)
}

fn shutting_down() -> Fault {
    Fault::new(ErrorKind::ShuttingDown, "the daemon is shutting down")
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Fault::internal(format!("file work failed: {error}"))),
    }
}
