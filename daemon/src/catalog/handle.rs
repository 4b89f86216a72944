//! What the rest of the daemon asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use airunner_core::catalog::{CatalogEntry, normalized};
use airunner_core::memory::Ceiling;
use airunner_core::model::{Model, Source};
use airunner_core::{Fault, ModelName, error};

use super::read::{Reading, read};
use super::user::UserList;

const BUILTIN: &str = include_str!("catalog.toml");

/// The way to the known models.
#[derive(Clone, Debug)]
pub struct Catalog {
    builtin: Arc<Vec<CatalogEntry>>,
    user: Arc<UserList>,
}

impl Catalog {
    /// With the user's own list in a file, which need not exist. Memory is told for conversations
    /// of `context` tokens.
    #[must_use]
    pub fn new(user: PathBuf, context: u32) -> Self {
        let reading = Reading {
            path: Path::new("catalog.toml"),
            from_user: false,
            context,
        };
        let listing = read(BUILTIN, reading);
        for problem in &listing.problems {
            tracing::error!(
                "the program's own list of models has an error: {}",
                error::chain(problem)
            );
        }
        Self {
            builtin: Arc::new(listing.entries),
            user: Arc::new(UserList::new(user, context)),
        }
    }

    /// Those that match, the user's own first, with what is installed and what would fit.
    pub async fn list(
        &self,
        query: String,
        installed: Vec<Model>,
        ceilings: Vec<Ceiling>,
    ) -> Result<Vec<CatalogEntry>, Fault> {
        let mut entries = self.all().await?;
        entries.retain(|entry| entry.matches(&query));
        for entry in &mut entries {
            entry.installed = installed_as(entry, &installed);
            entry.fit(&ceilings);
        }
        Ok(entries)
    }

    /// The model that has this name, alias or repository, however it is spelt.
    pub async fn find(&self, name: &str) -> Result<Option<CatalogEntry>, Fault> {
        let entries = self.all().await?;
        Ok(entries.into_iter().find(|entry| entry.answers_to(name)))
    }

    /// An entry of the user's hides the program's of the same name.
    async fn all(&self) -> Result<Vec<CatalogEntry>, Fault> {
        let user = Arc::clone(&self.user);
        let mut entries = tokio::task::spawn_blocking(move || user.entries().as_ref().clone())
            .await
            .map_err(|error| Fault::internal(format!("the list of models cannot be read: {error}")))?;
        let hidden: Vec<String> = entries
            .iter()
            .map(|entry| normalized(entry.name.as_str()))
            .collect();
        let kept = |entry: &&CatalogEntry| !hidden.contains(&normalized(entry.name.as_str()));
        entries.extend(self.builtin.iter().filter(kept).cloned());
        Ok(entries)
    }
}

/// The installed model that was fetched from its repository, or is called like it.
fn installed_as(entry: &CatalogEntry, installed: &[Model]) -> Option<ModelName> {
    let fetched = |model: &&Model| match &model.source {
        Source::Hub(source) => {
            let repository = source.split('@').next().unwrap_or(source);
            repository.eq_ignore_ascii_case(&entry.repository)
        }
        Source::Builtin | Source::Import(_) | Source::Linked(_) => false,
    };
    let called = |model: &&Model| {
        let name = model.name.as_str();
        name.eq_ignore_ascii_case(&entry.repository) || name.eq_ignore_ascii_case(entry.name.as_str())
    };
    let found = installed
        .iter()
        .find(fetched)
        .or_else(|| installed.iter().find(called));
    found.map(|model| model.name.clone())
}
