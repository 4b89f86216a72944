//! Having what runs go by other settings.

use std::path::PathBuf;
use std::sync::Arc;

use airunner_core::lifecycle::Limits;
use airunner_core::memory::{BudgetChange, DeviceClass};
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_platform::service::login;
use airunner_runtimes::Kernels;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::background::preload;
use super::options::policy;
use crate::config::{ModelsSettings, Settings};
use crate::http;
use crate::models::{Adjustment, Models};
use crate::notifications::{Notifications, Rules};
use crate::settings::{Live, Login};
use crate::spilled;
use crate::usage::Usage;
use crate::workers::WorkerOptions;

/// What can change while it runs.
pub(super) struct Running {
    pub(super) models: Models,
    pub(super) usage: Usage,
    pub(super) notifications: Notifications,
    /// How workers are started from then on.
    pub(super) workers: watch::Sender<Arc<WorkerOptions>>,
    /// How these follow from the settings.
    pub(super) worker_options: Box<dyn Fn(&Settings) -> WorkerOptions + Send + Sync>,
    /// What computes what is loaded from then on.
    pub(super) kernels: watch::Sender<Kernels>,
    /// Where what models computed is kept, and how much of it, bytes.
    pub(super) conversations: PathBuf,
    pub(super) cache_on_disk: watch::Sender<Option<u64>>,
    /// What a request to the HTTP API may be at most.
    pub(super) limits: watch::Sender<http::Limits>,
    pub(super) http: http::Handle,
}

impl Live for Running {
    fn prepare<'a>(&'a self, new: &'a Settings) -> BoxFuture<'a, Result<(), Fault>> {
        self.http.prepare(&new.http).boxed()
    }

    fn settle(&self, counts: bool) -> BoxFuture<'_, Result<(), Fault>> {
        if counts {
            self.http.serve().boxed()
        } else {
            self.http.abandon().boxed()
        }
    }

    fn refused<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, ()> {
        let problem = format!("config.toml asks for what is not served: {}", fault.message);
        async move {
            // Without a server the end has begun.
            drop(self.http.complain(problem).await);
        }
        .boxed()
    }

    fn apply<'a>(&'a self, old: &'a Settings, new: &'a Settings) -> BoxFuture<'a, Result<(), Fault>> {
        self.go_by(old, new).boxed()
    }
}

impl Running {
    async fn go_by(&self, old: &Settings, new: &Settings) -> Result<(), Fault> {
        self.notifications
            .set_rules(Rules::from(&new.notifications))
            .await;
        self.limits.send_replace(http::Limits::from(&new.http));
        self.kernels.send_replace(new.models.kernels);
        if new.models.cache_on_disk.is_some() {
            spilled::prepare(&self.conversations);
        }
        self.workers.send_replace(Arc::new((self.worker_options)(new)));
        // What is loaded from here on goes by it.
        self.cache_on_disk.send_replace(new.models.cache_on_disk);
        self.models
            .adjust(Adjustment {
                limits: Limits {
                    keep_alive: new.models.keep_alive,
                },
                policy: policy(new),
                favourites: new.models.priority.clone(),
            })
            .await?;
        let (before, after) = (&old.memory, &new.memory);
        for (device, before, after) in [
            (DeviceClass::Cpu, before.cpu_budget, after.cpu_budget),
            (DeviceClass::Gpu, before.gpu_budget, after.gpu_budget),
        ] {
            if before != after {
                let budget = after;
                self.models.apply_budget(BudgetChange { device, budget }).await?;
            }
        }
        if preloads(&old.models) != preloads(&new.models) {
            tokio::spawn(preload(
                self.models.clone(),
                self.usage.clone(),
                new.models.clone(),
            ));
        }
        Ok(())
    }
}

fn preloads(settings: &ModelsSettings) -> (&[ModelName], usize) {
    (&settings.preload, settings.preload_most_used)
}

/// Asks and changes what this user's login starts, through the system's own tools.
pub(super) struct SystemLogin(Handle);

impl SystemLogin {
    /// Must be called within a tokio runtime. It is asked where it may block.
    pub(super) fn new() -> Self {
        Self(Handle::current())
    }
}

impl Login for SystemLogin {
    fn state(&self) -> Result<bool, Fault> {
        let state = self.0.block_on(login::state())?;
        Ok(state.enabled)
    }

    fn set(&self, on: bool) -> Result<(), Fault> {
        let state = self.0.block_on(login::set(on))?;
        match state.problem {
            Some(problem) if state.enabled != on => Err(Fault::new(ErrorKind::Unavailable, problem)),
            Some(_) | None => Ok(()),
        }
    }
}
