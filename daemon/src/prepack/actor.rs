//! Sees models that were loaded without a copy or are new here, and has one made when there is
//! nothing else to do.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use airunner_core::event::{Event, WatchPayload};
use airunner_core::hardware::Device;
use airunner_core::lifecycle::StateName;
use airunner_core::memory::{EstimateRequest, VariantEstimate};
use airunner_core::model::Model;
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_platform::{ChildLimits, disk};
use airunner_runtimes::Kernels;
use airunner_runtimes::llm::prepack::is_possible;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cache::tidy;
use super::candidates::{Candidates, Subject, pid};
use super::options::PrepackArguments;
use super::process::make;
use crate::config::LogLevel;
use crate::models::Models;
use crate::shutdown::Ending;

/// Copies of less would not be worth their keep, bytes of weights: so little answers at once
/// whatever computes it. Above that a copy answers faster, not only loads faster.
const SMALLEST: u64 = 16 << 20;
/// The most that a copy holds: the weights as they were and as they are packed. Where all of
/// them are packed for our own operators, it is hardly more than once.
const COPY_FACTOR: u64 = 2;

/// How copies are made.
#[derive(Clone, Debug)]
pub struct PrepackOptions {
    /// The executable that has the `prepack` subcommand.
    pub executable: PathBuf,
    pub cache: PathBuf,
    /// All copies together, bytes.
    pub limit: u64,
    pub onnxruntime_library: PathBuf,
    pub threads: usize,
    /// Those of the next load.
    pub kernels: watch::Receiver<Kernels>,
    pub limits: ChildLimits,
    pub log_level: LogLevel,
}

/// One for the whole daemon, so that one copy is made at a time.
pub struct Prepacker {
    models: Models,
    options: PrepackOptions,
    candidates: Candidates,
}

/// How an attempt ended.
enum Outcome {
    Made,
    /// Something else became more important.
    Abandoned(&'static str),
    Failed(Fault),
}

impl Prepacker {
    #[must_use]
    pub fn new(models: Models, options: PrepackOptions) -> Self {
        Self {
            models,
            options,
            candidates: Candidates::default(),
        }
    }

    /// Until the end is asked for, which also ends a copy in the making.
    pub async fn run(mut self, ending: Ending) {
        let mut changes = self.models.watch();
        self.tidy(true).await;
        loop {
            self.candidates.look(&self.models.list(), Instant::now());
            let due = self.candidates.due();
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ending.asked() => return,
                change = changes.next() => match change {
                    None => return,
                    Some(change) => self.hear(&change.payload).await,
                },
                () = due => self.attempt(&ending).await,
            }
        }
    }

    async fn hear(&mut self, payload: &WatchPayload) {
        let WatchPayload::Event(event) = payload else {
            return;
        };
        self.candidates.hear(event);
        if matches!(event, Event::ModelRemoved(_)) {
            self.tidy(false).await;
        }
    }

    /// Makes the copy that has been wanted for longest.
    async fn attempt(&mut self, ending: &Ending) {
        let Some(subject) = self.candidates.take() else {
            return;
        };
        let Some((model, variant)) = self.named(&subject).await else {
            return;
        };
        if let Subject::Worker(pid) = subject
            && self.candidates.is_ready(pid)
        {
            return self.replace(model, variant, pid).await;
        }
        let begin = Instant::now();
        match self.copy(&model, &variant, ending).await {
            Outcome::Made => {
                let seconds = begin.elapsed().as_secs_f64();
                tracing::info!(%model, variant, seconds, "a faster copy of this model is there");
                self.tidy(false).await;
                if let Subject::Worker(pid) = subject {
                    self.replace(model, variant, pid).await;
                }
            }
            Outcome::Abandoned(why) => {
                tracing::debug!(%model, variant, why, "no packed copy is made");
                self.tidy(true).await;
            }
            Outcome::Failed(fault) => {
                if fault.kind == ErrorKind::DiskFull {
                    tracing::debug!(%model, variant, %fault, "no packed copy is made");
                } else {
                    tracing::warn!(%model, variant, %fault, "no packed copy can be made");
                }
                if !is_passing(fault.kind) {
                    self.candidates.failed(model, variant);
                }
                self.tidy(true).await;
            }
        }
    }

    /// What is copied: of a package, the variant that a load would choose.
    async fn named(&self, subject: &Subject) -> Option<(ModelName, String)> {
        match subject {
            Subject::Worker(worker) => {
                let mut models = self.models.list().into_iter();
                let model = models.find(|model| pid(model) == Some(*worker))?;
                Some((model.name, model.instance?.variant))
            }
            Subject::Package(name) => {
                let request = EstimateRequest {
                    name: name.clone(),
                    context_length: None,
                    level: None,
                };
                let estimate = self.models.estimate(request).await;
                let estimate = estimate
                    .inspect_err(|fault| tracing::debug!(model = %name, %fault, "no packed copy is made"))
                    .ok()?;
                (estimate.device == Device::Cpu).then(|| (name.clone(), estimate.variant))
            }
        }
    }

    /// Puts a worker that runs from the copy in the place of one that does not: now, or as soon as
    /// that one has nothing to do.
    async fn replace(&mut self, model: ModelName, variant: String, pid: u32) {
        if !self.candidates.replace_once(model.clone(), variant.clone()) {
            return;
        }
        if let Err(fault) = self.models.renew(&model, pid).await {
            tracing::debug!(%model, %fault, "it is not loaded anew from its copy");
            if fault.kind == ErrorKind::Busy {
                self.candidates.postpone(model, variant, pid);
            }
            return;
        }
        let loaded = self.models.model(&model).ok().and_then(|model| model.instance);
        match loaded.map(|instance| instance.prepacked) {
            Some(true) => tracing::info!(%model, "it runs from its faster copy"),
            Some(false) => tracing::warn!(%model, "its copy was made and is not used"),
            None => tracing::debug!(%model, "it was unloaded meanwhile"),
        }
    }

    async fn copy(&self, model: &ModelName, variant: &str, ending: &Ending) -> Outcome {
        let (directory, needs) = match self.prepare(model, variant).await {
            Ok(prepared) => prepared,
            Err(outcome) => return outcome,
        };
        // Nobody has to go for this.
        let Ok(_reservation) = self.models.try_reserve(Device::Cpu, needs.memory).await else {
            return Outcome::Abandoned("there is not enough free memory");
        };
        let arguments = PrepackArguments {
            model: model.to_string(),
            directory,
            variant: variant.to_owned(),
            cache: self.options.cache.clone(),
            onnxruntime_library: self.options.onnxruntime_library.clone(),
            threads: self.options.threads,
            kernels: *self.options.kernels.borrow(),
            limits: self.options.limits,
            log_level: self.options.log_level,
        };
        tokio::select! {
            made = make(&self.options.executable, &arguments) => match made {
                Ok(()) => Outcome::Made,
                Err(fault) => Outcome::Failed(fault),
            },
            why = self.something_else(model) => Outcome::Abandoned(why),
            () = ending.asked() => Outcome::Abandoned("the daemon ends"),
        }
    }

    /// Where the model is and what its copy takes, or why none is made.
    async fn prepare(&self, model: &ModelName, variant: &str) -> Result<(PathBuf, Needs), Outcome> {
        let details = self.models.show(model).await.map_err(Outcome::Failed)?;
        let directory = PathBuf::from(details.directory);
        let (from, wanted, cache) = (directory.clone(), variant.to_owned(), self.options.cache.clone());
        let needs = tokio::task::spawn_blocking(move || needs(&from, &wanted, &cache)).await;
        let needs = needs
            .map_err(|error| Fault::internal(format!("file work failed: {error}")))
            .and_then(|needs| needs)
            .map_err(Outcome::Failed)?
            .ok_or(Outcome::Abandoned("it is not of a kind that is copied"))?;
        if needs.disk < SMALLEST {
            return Err(Outcome::Abandoned("it is so small that it is fast without"));
        }
        if needs.disk > self.options.limit {
            return Err(Outcome::Abandoned("it is larger than all copies may be"));
        }
        if needs.available.is_some_and(|available| available < needs.disk) {
            let message = "there is not room for twice the weights on the disk";
            return Err(Outcome::Failed(Fault::new(ErrorKind::DiskFull, message)));
        }
        Ok((directory, needs))
    }

    /// Returns when going on would be in somebody's way.
    async fn something_else(&self, model: &ModelName) -> &'static str {
        // Its own, so that whoever waits for changes in between misses none.
        let mut changes = self.models.watch();
        loop {
            let Some(change) = changes.next().await else {
                return "the daemon ends";
            };
            if matches!(&change.payload, WatchPayload::Event(Event::ModelRemoved(name)) if name == model) {
                return "the model was removed";
            }
            let models = self.models.list();
            let waits = |model: &Model| model.state != StateName::Busy && model.waiting_requests > 0;
            if models.iter().any(waits) {
                return "somebody waits for a model";
            }
        }
    }

    async fn tidy(&self, leftovers: bool) {
        let installed: HashSet<String> = self
            .models
            .list()
            .into_iter()
            .map(|model| model.name.to_string())
            .collect();
        let (cache, limit) = (self.options.cache.clone(), self.options.limit);
        let tidied = tokio::task::spawn_blocking(move || tidy(&cache, &installed, limit, leftovers)).await;
        if let Err(error) = tidied {
            tracing::warn!(%error, "the packed copies were not tidied up");
        }
    }
}

/// What a copy takes, bytes.
struct Needs {
    memory: u64,
    disk: u64,
    /// What the disk has; `None` if it does not say.
    available: Option<u64>,
}

/// `None` if it cannot be copied.
fn needs(directory: &Path, variant: &str, cache: &Path) -> Result<Option<Needs>, Fault> {
    if !is_possible(directory) {
        return Ok(None);
    }
    let options = airunner_runtimes::package::EstimateOptions::default();
    let estimate = airunner_runtimes::package::estimate(directory, &options)?;
    let of = |estimate: &VariantEstimate| {
        let weights = estimate.weights_bytes.saturating_mul(COPY_FACTOR);
        Needs {
            memory: weights.saturating_add(estimate.overhead_bytes),
            disk: weights,
            available: std::fs::create_dir_all(cache)
                .ok()
                .and_then(|()| disk::available_space(cache)),
        }
    };
    let mut variants = estimate.variants.iter();
    Ok(variants.find(|known| known.file == variant).map(of))
}

/// Whether the machine had not enough of something: after the next load it is tried again.
fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::OutOfMemory | ErrorKind::Unavailable)
}
