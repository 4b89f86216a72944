//! Requests to language models: wait for the model, hand the request to its worker, pass on what
//! comes back.
//!
//! A request ends when it is done, when it fails, when its caller is gone, or when the caller
//! does not read any more. Ending it in any of these ways drops the worker's stream, which
//! cancels it there, and the lease, which frees the model.

mod counting;
mod default_model;
mod generate;
mod timing;

#[cfg(test)]
mod tests;

use std::time::Duration;

use airunner_core::generate::{ClientId, GenerateEvent, GenerateRequest};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeInput, TokenizeRequest};
use airunner_core::{Fault, ModelName, Priority};
use tokio::sync::mpsc;

use crate::models::{Access, Lease, Models, Turn};
use crate::traces::Tracer;
use crate::usage::Usage;

/// The events of one answer; dropping it cancels the request.
pub type Answer = mpsc::Receiver<Result<GenerateEvent, Fault>>;

/// The way to inference.
#[derive(Clone)]
pub struct Inference {
    models: Models,
    usage: Usage,
    tracer: Tracer,
    reader_timeout: Duration,
}

impl Inference {
    /// An answer that nobody reads for `reader_timeout` is given up.
    #[must_use]
    pub const fn new(models: Models, usage: Usage, tracer: Tracer, reader_timeout: Duration) -> Self {
        Self {
            models,
            usage,
            tracer,
            reader_timeout,
        }
    }

    /// Refuses at once what cannot work, and starts the rest. Those who ask share the model.
    pub fn generate(&self, client: ClientId, mut request: GenerateRequest) -> Result<Answer, Fault> {
        request.client = client;
        request.validate()?;
        self.models.model(&request.model)?;
        // Here, where it is known which request asks.
        let answering = self.tracer.answering(&request.model);
        Ok(generate::start(
            self.models.clone(),
            self.usage.clone(),
            answering,
            request,
            self.reader_timeout,
        ))
    }

    /// Who answers when nobody is named: of the models in memory the one used last, or else the
    /// one used most, or else the first that came with the program.
    pub async fn default_model(&self) -> Result<ModelName, Fault> {
        default_model::choose(&self.models.list(), &self.usage).await
    }

    pub async fn tokenize(&self, mut request: TokenizeRequest) -> Result<Vec<u32>, Fault> {
        if let TokenizeInput::Conversation(conversation) = &mut request.input {
            self.models
                .find(&request.model)
                .await?
                .defaults
                .introduce(conversation);
        }
        let mut lease = self.lease(&request.model).await?;
        let tokens = lease.llm.tokenize(request);
        tokio::select! {
            biased;
            fault = lease.cancelled() => Err(fault),
            tokens = tokens => tokens,
        }
    }

    pub async fn detokenize(&self, request: DetokenizeRequest) -> Result<String, Fault> {
        let mut lease = self.lease(&request.model).await?;
        let text = lease.llm.detokenize(request);
        tokio::select! {
            biased;
            fault = lease.cancelled() => Err(fault),
            text = text => text,
        }
    }

    async fn lease(&self, model: &ModelName) -> Result<Lease, Fault> {
        let access = Access {
            model: model.clone(),
            keep_alive: None,
            client: ClientId::default(),
            priority: Priority::default(),
            max_wait: None,
        };
        let mut acquisition = self.models.acquire(access).await?;
        loop {
            match acquisition.turn().await? {
                Turn::Granted(lease) => return Ok(lease),
                Turn::Queued(_) | Turn::Loading(_) => {}
            }
        }
    }
}
