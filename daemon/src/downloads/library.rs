//! What downloads need of the rest of the daemon.

use std::sync::Arc;

use airunner_core::catalog::CatalogEntry;
use airunner_core::hardware::Device;
use airunner_core::model::Model;
use airunner_core::{Fault, ModelName};
use futures_util::future::BoxFuture;

use super::choose::Ceiling;
use crate::catalog::Catalog;
use crate::models::{Installed, Models, Store};

/// The installed models.
pub trait Library: Send + Sync {
    fn models(&self) -> Vec<Model>;
    fn store(&self) -> Arc<Store>;
    /// A package was put into the store.
    fn installed(&self, installed: Installed) -> BoxFuture<'_, Result<(), Fault>>;
    /// What each device could hold, the one to run on first.
    fn ceilings(&self) -> BoxFuture<'_, Vec<Ceiling>>;
}

/// Models that are known by name.
pub trait Names: Send + Sync {
    /// By name or alias.
    fn find<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Option<CatalogEntry>, Fault>>;
}

pub(super) fn model(library: &dyn Library, name: &ModelName) -> Option<Model> {
    library.models().into_iter().find(|model| model.name == *name)
}

impl Library for Models {
    fn models(&self) -> Vec<Model> {
        self.list()
    }

    fn store(&self) -> Arc<Store> {
        Self::store(self)
    }

    fn installed(&self, installed: Installed) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(Self::installed(self, installed))
    }

    fn ceilings(&self) -> BoxFuture<'_, Vec<Ceiling>> {
        Box::pin(async move {
            let found = Self::ceilings(self).await.unwrap_or_default();
            // Models run on the CPU; what the other devices hold counts once they run there too.
            let cpu = found.into_iter().filter(|(device, _)| *device == Device::Cpu);
            cpu.map(|(device, bytes)| Ceiling {
                device,
                compute_capability: None,
                bytes,
            })
            .collect()
        })
    }
}

impl Names for Catalog {
    fn find<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Option<CatalogEntry>, Fault>> {
        Box::pin(Self::find(self, text))
    }
}
