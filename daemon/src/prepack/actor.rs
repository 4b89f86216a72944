//! Sees models that were loaded without a copy, and has one made when they have nothing to do.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use airunner_core::event::{Event, WatchPayload};
use airunner_core::hardware::Device;
use airunner_core::lifecycle::StateName;
use airunner_core::memory::VariantEstimate;
use airunner_core::model::Model;
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_platform::{ChildLimits, disk};
use airunner_runtimes::llm::prepack::is_possible;
use tokio::time::Instant;

use super::cache::tidy;
use super::options::PrepackArguments;
use super::process::make;
use crate::config::LogLevel;
use crate::events::Watch;
use crate::models::Models;
use crate::shutdown::Ending;

/// How long a model has had nothing to do before its copy is made.
const QUIET: Duration = Duration::from_secs(5);
/// Copies of less would not be worth their keep, bytes.
const SMALLEST: u64 = 128 << 20;
/// A copy holds the weights as they were and as they are packed.
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
    pub limits: ChildLimits,
    pub log_level: LogLevel,
}

/// One for the whole daemon, so that one copy is made at a time.
pub struct Prepacker {
    models: Models,
    options: PrepackOptions,
    /// Workers without a copy that have nothing to do, by process, and since when.
    quiet: HashMap<u32, Instant>,
    /// Workers for whose model a copy was made or tried.
    tried: HashSet<u32>,
    /// Not tried again in this life of the daemon.
    failed: HashSet<(ModelName, String)>,
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
            quiet: HashMap::new(),
            tried: HashSet::new(),
            failed: HashSet::new(),
        }
    }

    /// Until the end is asked for, which also ends a copy in the making.
    pub async fn run(mut self, ending: Ending) {
        let mut changes = self.models.watch();
        self.tidy(true).await;
        loop {
            self.look();
            let due = self.quiet.values().min().map(|since| *since + QUIET);
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
                    Some(change) if removes(&change.payload) => self.tidy(false).await,
                    Some(_) => {}
                },
                () = due => self.attempt(&mut changes, &ending).await,
            }
        }
    }

    /// Notes who has nothing to do.
    fn look(&mut self) {
        let models = self.models.list();
        let living: HashSet<u32> = models.iter().filter_map(pid).collect();
        self.tried.retain(|pid| living.contains(pid));
        let waiting: HashSet<u32> = models
            .iter()
            .filter(|model| self.wants_copy(model))
            .filter_map(pid)
            .collect();
        self.quiet.retain(|pid, _| waiting.contains(pid));
        for pid in waiting {
            self.quiet.entry(pid).or_insert_with(Instant::now);
        }
    }

    fn wants_copy(&self, model: &Model) -> bool {
        let Some(instance) = &model.instance else {
            return false;
        };
        model.state == StateName::Loaded
            && instance.device == Device::Cpu.to_string()
            && !instance.prepacked
            && instance.active_requests == 0
            && !self.tried.contains(&instance.pid)
            && !self
                .failed
                .contains(&(model.name.clone(), instance.variant.clone()))
    }

    /// Makes the copy for the model that has had nothing to do for longest.
    async fn attempt(&mut self, changes: &mut Watch, ending: &Ending) {
        let Some((&chosen, _)) = self.quiet.iter().min_by_key(|(_, since)| **since) else {
            return;
        };
        self.quiet.remove(&chosen);
        self.tried.insert(chosen);
        let models = self.models.list();
        let Some(model) = models.into_iter().find(|model| pid(model) == Some(chosen)) else {
            return;
        };
        let variant = model
            .instance
            .map(|instance| instance.variant)
            .unwrap_or_default();
        let begin = Instant::now();
        match self.copy(&model.name, &variant, changes, ending).await {
            Outcome::Made => {
                let seconds = begin.elapsed().as_secs_f64();
                tracing::info!(model = %model.name, variant, seconds, "the next load of this model is faster");
                self.tidy(false).await;
            }
            Outcome::Abandoned(why) => {
                tracing::debug!(model = %model.name, variant, why, "no packed copy is made");
                self.tidy(true).await;
            }
            Outcome::Failed(fault) => {
                if fault.kind == ErrorKind::DiskFull {
                    tracing::debug!(model = %model.name, variant, %fault, "no packed copy is made");
                } else {
                    tracing::warn!(model = %model.name, variant, %fault, "no packed copy can be made");
                }
                self.failed.insert((model.name, variant));
                self.tidy(true).await;
            }
        }
    }

    async fn copy(&self, model: &ModelName, variant: &str, changes: &mut Watch, ending: &Ending) -> Outcome {
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
            limits: self.options.limits,
            log_level: self.options.log_level,
        };
        tokio::select! {
            made = make(&self.options.executable, &arguments) => match made {
                Ok(()) => Outcome::Made,
                Err(fault) => Outcome::Failed(fault),
            },
            why = self.something_else(model, changes) => Outcome::Abandoned(why),
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
            return Err(Outcome::Abandoned("it loads fast as it is"));
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
    async fn something_else(&self, model: &ModelName, changes: &mut Watch) -> &'static str {
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

fn pid(model: &Model) -> Option<u32> {
    model.instance.as_ref().map(|instance| instance.pid)
}

fn removes(payload: &WatchPayload) -> bool {
    matches!(payload, WatchPayload::Event(Event::ModelRemoved(_)))
}
