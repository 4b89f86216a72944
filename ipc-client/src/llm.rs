//! Language models.

use airunner_core::Fault;
use airunner_core::generate::{GenerateEvent, GenerateRequest};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use airunner_proto::v1::llm_client::LlmClient;
use airunner_proto::{MAX_MESSAGE_BYTES, v1};
use tonic::transport::Channel;

use crate::answer::{Answer, AnswerBuilder};
use crate::channel::fault;
use crate::events::Events;

/// Generate and tokenize. From [`Client::llm`](crate::Client::llm).
#[derive(Clone, Debug)]
pub struct Llm {
    client: LlmClient<Channel>,
}

impl Llm {
    pub(crate) fn new(channel: Channel) -> Self {
        let client = LlmClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Self { client }
    }

    /// Streams an answer, loading the model first if need be. The last event is
    /// [`GenerateEvent::Done`]. Dropping the stream cancels the request before its next step.
    pub async fn generate(&self, request: GenerateRequest) -> Result<Events<GenerateEvent>, Fault> {
        request.validate()?;
        let mut client = self.client.clone();
        let request = v1::GenerateRequest::from(request);
        let answer = client.generate(request).await.map_err(|status| fault(&status))?;
        Ok(Events::new(answer.into_inner(), |event| {
            matches!(event, GenerateEvent::Done(_))
        }))
    }

    /// Waits for a whole answer. Dropping the future cancels the request.
    pub async fn answer(&self, request: GenerateRequest) -> Result<Answer, Fault> {
        let mut events = self.generate(request).await?;
        let mut answer = AnswerBuilder::default();
        while let Some(event) = events.next().await {
            if let Some(answer) = answer.push(event?) {
                return Ok(answer);
            }
        }
        Err(Fault::internal("the answer has no end"))
    }

    /// The tokens of a text or a rendered conversation. Loads the model if need be.
    pub async fn tokenize(&self, request: TokenizeRequest) -> Result<Vec<u32>, Fault> {
        let mut client = self.client.clone();
        let request = v1::TokenizeRequest::from(request);
        let answer = client.tokenize(request).await.map_err(|status| fault(&status))?;
        Ok(answer.into_inner().tokens)
    }

    /// The text of tokens. Loads the model if need be.
    pub async fn detokenize(&self, request: DetokenizeRequest) -> Result<String, Fault> {
        let mut client = self.client.clone();
        let request = v1::DetokenizeRequest::from(request);
        let answer = client
            .detokenize(request)
            .await
            .map_err(|status| fault(&status))?;
        Ok(answer.into_inner().text)
    }
}
