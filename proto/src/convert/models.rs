//! Installed models: details, import, load, unload.

use std::path::Path;
use std::time::Duration;

use airunner_core::model::{
    Capability, CopyRequest, ImportEvent, ImportProgress, ImportRequest, ImportStage, LoadEvent, LoadRequest,
    Model, ModelDetails, PackageFile, PackageFormat, UnloadRequest,
};
use airunner_core::{Fault, ModelName};

use super::common::{asked_context, asked_level, asked_priority, level_text, millis, models};
use super::wire::{answered, at_most_bytes, known, non_empty, required};
use crate::v1;

/// Longest path a request may name, bytes.
const MAX_PATH_BYTES: usize = 4096;

impl From<Vec<Model>> for v1::ListModelsResponse {
    fn from(models: Vec<Model>) -> Self {
        Self {
            models: models.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ListModelsResponse> for Vec<Model> {
    type Error = Fault;

    fn try_from(wire: v1::ListModelsResponse) -> Result<Self, Fault> {
        models(wire.models)
    }
}

impl From<ModelName> for v1::ShowModelRequest {
    fn from(name: ModelName) -> Self {
        Self {
            name: name.to_string(),
        }
    }
}

impl TryFrom<v1::ShowModelRequest> for ModelName {
    type Error = Fault;

    fn try_from(wire: v1::ShowModelRequest) -> Result<Self, Fault> {
        Self::new(&wire.name)
    }
}

impl From<CopyRequest> for v1::CopyModelRequest {
    fn from(request: CopyRequest) -> Self {
        Self {
            source: request.source.to_string(),
            destination: request.destination.to_string(),
        }
    }
}

impl TryFrom<v1::CopyModelRequest> for CopyRequest {
    type Error = Fault;

    fn try_from(wire: v1::CopyModelRequest) -> Result<Self, Fault> {
        Ok(Self {
            source: ModelName::new(&wire.source)?,
            destination: ModelName::new(&wire.destination)?,
        })
    }
}

impl From<Model> for v1::CopyModelResponse {
    fn from(model: Model) -> Self {
        Self {
            model: Some(model.into()),
        }
    }
}

impl TryFrom<v1::CopyModelResponse> for Model {
    type Error = Fault;

    fn try_from(wire: v1::CopyModelResponse) -> Result<Self, Fault> {
        required(wire.model, "model")?.try_into()
    }
}

impl From<ModelName> for v1::RemoveModelRequest {
    fn from(name: ModelName) -> Self {
        Self {
            name: name.to_string(),
        }
    }
}

impl TryFrom<v1::RemoveModelRequest> for ModelName {
    type Error = Fault;

    fn try_from(wire: v1::RemoveModelRequest) -> Result<Self, Fault> {
        Self::new(&wire.name)
    }
}

impl From<ModelDetails> for v1::ShowModelResponse {
    fn from(details: ModelDetails) -> Self {
        Self {
            model: Some(details.model.into()),
            format: details.format.as_str().to_owned(),
            architecture: details.architecture,
            context_length: details.context_length.unwrap_or_default(),
            variants: details.variants,
            files: details.files.into_iter().map(Into::into).collect(),
            chat_template: details.chat_template.unwrap_or_default(),
            directory: details.directory,
            capabilities: details
                .capabilities
                .into_iter()
                .map(|capability| capability.as_str().to_owned())
                .collect(),
            sampling: Some(details.sampling.into()),
            parameters: details.parameters.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::ShowModelResponse> for ModelDetails {
    type Error = Fault;

    fn try_from(wire: v1::ShowModelResponse) -> Result<Self, Fault> {
        Ok(Self {
            model: answered(wire.model, "model")?.try_into()?,
            format: known(PackageFormat::parse(&wire.format), "format", &wire.format)?,
            architecture: wire.architecture,
            context_length: (wire.context_length != 0).then_some(wire.context_length),
            variants: wire.variants,
            files: wire.files.into_iter().map(Into::into).collect(),
            chat_template: non_empty(wire.chat_template),
            directory: wire.directory,
            // A newer daemon may know of more.
            capabilities: wire
                .capabilities
                .iter()
                .filter_map(|capability| Capability::parse(capability))
                .collect(),
            sampling: wire
                .sampling
                .map(TryInto::try_into)
                .transpose()?
                .unwrap_or_default(),
            parameters: (wire.parameters != 0).then_some(wire.parameters),
        })
    }
}

impl From<PackageFile> for v1::PackageFile {
    fn from(file: PackageFile) -> Self {
        Self {
            path: file.path,
            size_bytes: file.size_bytes,
            sha256: file.sha256.unwrap_or_default(),
        }
    }
}

impl From<v1::PackageFile> for PackageFile {
    fn from(wire: v1::PackageFile) -> Self {
        Self {
            path: wire.path,
            size_bytes: wire.size_bytes,
            sha256: non_empty(wire.sha256),
        }
    }
}

impl From<ImportRequest> for v1::ImportModelRequest {
    fn from(request: ImportRequest) -> Self {
        Self {
            directory: request.directory,
            name: request.name.to_string(),
            link: request.link,
        }
    }
}

impl TryFrom<v1::ImportModelRequest> for ImportRequest {
    type Error = Fault;

    fn try_from(wire: v1::ImportModelRequest) -> Result<Self, Fault> {
        at_most_bytes(&wire.directory, MAX_PATH_BYTES, "directory")?;
        let directory = required(non_empty(wire.directory), "directory")?;
        if directory.contains('\0') || !Path::new(&directory).is_absolute() {
            return Err(Fault::invalid(format!(
                "directory is {directory:?}: name an absolute path"
            )));
        }
        Ok(Self {
            directory,
            name: ModelName::new(&wire.name)?,
            link: wire.link,
        })
    }
}

impl From<ImportEvent> for v1::ImportModelResponse {
    fn from(event: ImportEvent) -> Self {
        use v1::import_model_response::Event;
        let event = match event {
            ImportEvent::Progress(progress) => Event::Progress(progress.into()),
            ImportEvent::Installed(model) => Event::Installed((*model).into()),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<v1::ImportModelResponse> for ImportEvent {
    type Error = Fault;

    fn try_from(wire: v1::ImportModelResponse) -> Result<Self, Fault> {
        use v1::import_model_response::Event;
        match answered(wire.event, "event")? {
            Event::Progress(progress) => Ok(Self::Progress(progress.try_into()?)),
            Event::Installed(model) => Ok(Self::Installed(Box::new(model.try_into()?))),
        }
    }
}

impl From<ImportProgress> for v1::ImportProgress {
    fn from(progress: ImportProgress) -> Self {
        Self {
            stage: progress.stage.as_str().to_owned(),
            done_bytes: progress.done_bytes,
            total_bytes: progress.total_bytes,
        }
    }
}

impl TryFrom<v1::ImportProgress> for ImportProgress {
    type Error = Fault;

    fn try_from(wire: v1::ImportProgress) -> Result<Self, Fault> {
        Ok(Self {
            stage: known(ImportStage::parse(&wire.stage), "progress.stage", &wire.stage)?,
            done_bytes: wire.done_bytes,
            total_bytes: wire.total_bytes,
        })
    }
}

impl From<LoadRequest> for v1::LoadModelRequest {
    fn from(request: LoadRequest) -> Self {
        Self {
            name: request.name.to_string(),
            keep_alive: request.keep_alive.map(Into::into),
            pinned: request.pinned,
            context_length: request.context_length,
            level: level_text(request.level),
            priority: v1::Priority::from(request.priority).into(),
            max_wait_ms: request.max_wait.map(millis),
        }
    }
}

impl TryFrom<v1::LoadModelRequest> for LoadRequest {
    type Error = Fault;

    fn try_from(wire: v1::LoadModelRequest) -> Result<Self, Fault> {
        Ok(Self {
            name: ModelName::new(&wire.name)?,
            keep_alive: wire.keep_alive.map(TryInto::try_into).transpose()?,
            pinned: wire.pinned,
            context_length: asked_context(wire.context_length)?,
            level: asked_level(&wire.level)?,
            priority: asked_priority(wire.priority)?,
            max_wait: wire.max_wait_ms.map(Duration::from_millis),
        })
    }
}

impl From<LoadEvent> for v1::LoadModelResponse {
    fn from(event: LoadEvent) -> Self {
        use v1::load_model_response::Event;
        let event = match event {
            LoadEvent::Queued(queued) => Event::Queued(queued.into()),
            LoadEvent::Progress(progress) => Event::Progress(progress.into()),
            LoadEvent::Loaded(model) => Event::Loaded((*model).into()),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<v1::LoadModelResponse> for LoadEvent {
    type Error = Fault;

    fn try_from(wire: v1::LoadModelResponse) -> Result<Self, Fault> {
        use v1::load_model_response::Event;
        match answered(wire.event, "event")? {
            Event::Progress(progress) => Ok(Self::Progress(progress.try_into()?)),
            Event::Queued(queued) => Ok(Self::Queued(queued.into())),
            Event::Loaded(model) => Ok(Self::Loaded(Box::new(model.try_into()?))),
        }
    }
}

impl From<UnloadRequest> for v1::UnloadModelRequest {
    fn from(request: UnloadRequest) -> Self {
        Self {
            name: request.name.to_string(),
            force: request.force,
        }
    }
}

impl TryFrom<v1::UnloadModelRequest> for UnloadRequest {
    type Error = Fault;

    fn try_from(wire: v1::UnloadModelRequest) -> Result<Self, Fault> {
        Ok(Self {
            name: ModelName::new(&wire.name)?,
            force: wire.force,
        })
    }
}
