//! Who answers when nobody is named.

use airunner_core::lifecycle::StateName;
use airunner_core::model::Model;
use airunner_core::{ErrorKind, Fault, ModelName};

use crate::usage::Usage;

/// How many of the most used models are looked at: most of them are still installed.
const LOOKED_AT: usize = 100;

pub(super) async fn choose(models: &[Model], usage: &Usage) -> Result<ModelName, Fault> {
    let loaded: Vec<&Model> = models
        .iter()
        .filter(|model| matches!(model.state, StateName::Loaded | StateName::Busy))
        .collect();
    if let [only] = loaded.as_slice() {
        return Ok(only.name.clone());
    }
    let candidates = if loaded.is_empty() {
        usage.most_used(LOOKED_AT, None).await?
    } else {
        // The one used last is the first.
        let used = usage.summary(None).await?;
        used.into_iter().map(|usage| usage.model).collect()
    };
    let among: Vec<&Model> = if loaded.is_empty() {
        models.iter().collect()
    } else {
        loaded
    };
    first(&candidates, &among).ok_or_else(|| {
        Fault::new(
            ErrorKind::ModelNotFound,
            "no model is installed: fetch one, or name one in \"model\"",
        )
    })
}

/// The first candidate that is there, or else one that came with the program, or else any.
fn first(candidates: &[ModelName], among: &[&Model]) -> Option<ModelName> {
    let there = |name: &&ModelName| among.iter().any(|model| model.name == **name);
    let builtin = || among.iter().find(|model| model.name.is_builtin());
    candidates
        .iter()
        .find(there)
        .or_else(|| Some(&builtin().or(among.first())?.name))
        .cloned()
}

#[cfg(test)]
mod tests {
    use airunner_core::model::{ModelKind, Source};

    use super::*;

    fn name(text: &str) -> ModelName {
        ModelName::new(text).unwrap()
    }

    fn model(text: &str) -> Model {
        Model {
            name: name(text),
            kind: ModelKind::Llm,
            state: StateName::Unloaded,
            size_bytes: 0,
            source: Source::Builtin,
            instance: None,
            last_unload_reason: None,
            waiting_requests: 0,
        }
    }

    #[test]
    fn what_was_used_comes_before_what_ships_before_any() {
        let (a, shipped, b) = (model("a"), model("builtin/x"), model("b"));
        let all = [&a, &shipped, &b];
        let gone = name("gone");
        assert_eq!(first(&[gone.clone(), name("b")], &all), Some(name("b")));
        assert_eq!(first(&[gone], &all), Some(name("builtin/x")));
        assert_eq!(first(&[], &[&a, &b]), Some(name("a")));
        assert_eq!(first(&[], &[]), None);
    }
}
