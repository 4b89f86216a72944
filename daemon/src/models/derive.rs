//! Making a model of an installed one, or of files that clients sent.

use std::sync::Arc;

use airunner_core::model::{CopyRequest, Model};
use airunner_core::{ErrorKind, Fault, ModelName};

use super::handle::{Models, blocking};
use super::store::{Changes, Origin};

/// What to make of what.
#[derive(Clone, Debug, PartialEq)]
pub struct DeriveRequest {
    pub from: Origin<ModelName>,
    pub name: ModelName,
    pub changes: Changes,
    /// A model of that name that is not in use makes way.
    pub replaces: bool,
}

impl Models {
    /// Makes a second model of the same files.
    pub async fn copy(&self, request: CopyRequest) -> Result<Model, Fault> {
        self.derive(DeriveRequest {
            from: Origin::Model(request.source),
            name: request.destination,
            changes: Changes::default(),
            replaces: false,
        })
        .await
    }

    /// Makes a model that shares its files with another one, or is made of files.
    pub async fn derive(&self, request: DeriveRequest) -> Result<Model, Fault> {
        let models = self.clone();
        // Beside the caller, who may leave: what has begun goes to its end.
        let made = tokio::spawn(async move { models.derive_to_the_end(request).await });
        match made.await {
            Ok(made) => made,
            Err(error) => Err(Fault::internal(format!("the model was not made: {error}"))),
        }
    }

    async fn derive_to_the_end(&self, request: DeriveRequest) -> Result<Model, Fault> {
        let DeriveRequest {
            from,
            name,
            changes,
            replaces,
        } = request;
        let from = match from {
            Origin::Model(from) => Origin::Model(self.find(&from).await?),
            Origin::Files(parts) => Origin::Files(parts),
        };
        if replaces {
            self.make_way(name.clone()).await?;
        }
        let listed: Vec<ModelName> = self.list().into_iter().map(|model| model.name).collect();
        let replaced = if replaces && listed.contains(&name) {
            Some(self.forget(name.clone()).await?)
        } else {
            None
        };
        let store = self.store();
        let (target, replaces) = (name.clone(), replaced.is_some());
        let made = blocking(move || {
            let store = Arc::clone(&store);
            Ok(store.derive(&from, &target, changes, &listed, replaces)?)
        });
        match made.await {
            Ok(installed) => self.installed(installed).await?,
            Err(fault) => {
                if let Some(replaced) = replaced {
                    self.installed(replaced).await?;
                }
                return Err(fault);
            }
        }
        self.model(&name)
    }

    /// Takes a model out of memory, if there is one of that name. One who is in use stays.
    async fn make_way(&self, name: ModelName) -> Result<(), Fault> {
        match self.unload(name, false).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.kind == ErrorKind::ModelNotFound => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}
