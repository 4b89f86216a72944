//! Making a model of an installed one.

use std::sync::Arc;

use airunner_core::model::Model;
use airunner_core::{Fault, ModelName};

use super::handle::{Models, blocking};
use super::store::Changes;

/// What to make of what.
#[derive(Clone, Debug, PartialEq)]
pub struct DeriveRequest {
    pub from: ModelName,
    pub name: ModelName,
    pub changes: Changes,
    /// A model of that name that is not in memory makes way.
    pub replaces: bool,
}

impl Models {
    /// Makes a model that shares its files with another one.
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
        let from = self.find(&from).await?;
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
}
