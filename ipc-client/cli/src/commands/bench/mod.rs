use std::time::Instant;

use airunner_core::lifecycle::StateName;
use airunner_core::memory::EstimateRequest;
use airunner_core::model::{Instance, LoadEvent, LoadRequest, Model, UnloadRequest};
use airunner_core::{Fault, ModelName};
use airunner_ipc_client::Client;
use airunner_platform::bandwidth;
use clap::Args;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Context;
use crate::views::{BenchView, FirstToken, Streams, bench_table};

mod prompts;
mod speed;

use prompts::Prompts;
use speed::{Asker, median};

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The model's name, as in `airunner models`. If it is loaded it is unloaded first, and it
    /// stays loaded.
    name: String,
}

impl Bench {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (client, name) = connect_for(&self.name).await?;
        let measured = {
            let progress = Progress::new(&context.output, "measuring");
            let model = Measured {
                client,
                name,
                progress: &progress,
            };
            model.measure().await?
        };
        if context.output.is_json() {
            return context.output.value(&measured);
        }
        context.output.table(&bench_table(&measured))
    }
}

/// The device whose memory is main memory.
const PROCESSOR: &str = "cpu";

struct Measured<'a> {
    client: Client,
    name: ModelName,
    progress: &'a Progress,
}

impl Measured<'_> {
    async fn measure(&self) -> Result<BenchView, Failure> {
        let (load_ms, instance) = self.load().await?;
        let prompts = Prompts::of(&self.client, &self.name, instance.context_length).await?;
        let asker = Asker::new(self.client.llm(), self.name.clone(), prompts);
        self.progress.step("warming up", 0.1);
        asker.first_token(asker.prompts.long()).await?;
        self.progress.step("reading prompts", 0.2);
        let read = asker.read_prompts().await?;
        // The bandwidth of a shared machine changes: what is compared is measured side by side.
        self.progress.step("reading memory", 0.4);
        let before = read_memory().await?;
        self.progress.step("one answer", 0.45);
        let one = asker.answers(1).await?;
        self.progress.step("reading memory", 0.6);
        let bandwidth = read_memory().await?.max(before);
        self.progress.step("4 answers at once", 0.65);
        let four = asker.answers(4).await?;
        self.progress.step("8 answers at once", 0.8);
        let eight = asker.answers(8).await?;
        let on_processor = instance.device == PROCESSOR;
        let step_bytes = self.step_bytes(&instance).await?;
        Ok(BenchView {
            model: self.name.to_string(),
            prompt_tokens: asker.prompts.long_tokens(),
            prompt_tokens_per_second: median(read.speeds),
            tokens_per_second: Streams { one, four, eight },
            first_token_ms: FirstToken {
                cold: median(read.cold_ms),
                warm: median(read.warm_ms),
            },
            load_ms,
            memory_bytes: self.instance().await?.memory_bytes,
            memory_bandwidth_bytes_per_second: bandwidth,
            bandwidth_fraction: on_processor.then(|| step_bytes as f64 * one / bandwidth),
        })
    }

    /// Loads the model anew, as it was if it was loaded. Milliseconds, and what was loaded.
    async fn load(&self) -> Result<(f64, Instance), Failure> {
        let mut request = LoadRequest::new(self.name.clone());
        let model = self.model().await?;
        if let (StateName::Loaded | StateName::Busy, Some(instance)) = (model.state, model.instance) {
            request.pinned = Some(instance.pinned);
            request.context_length = Some(instance.context_length);
        }
        if model.state != StateName::Unloaded {
            let (name, force) = (self.name.clone(), false);
            self.client.models().unload(UnloadRequest { name, force }).await?;
        }
        let begin = Instant::now();
        let mut events = self.client.models().load(request).await?;
        while let Some(event) = events.next().await {
            match event? {
                LoadEvent::Queued(queued) => self.progress.queued(&queued),
                LoadEvent::Progress(now) => self.progress.load(&now),
                LoadEvent::Loaded(model) => {
                    let instance = model.instance.ok_or_else(left)?;
                    return Ok((begin.elapsed().as_secs_f64() * 1e3, instance));
                }
            }
        }
        Err(Fault::internal("the load has no end").into())
    }

    async fn model(&self) -> Result<Model, Failure> {
        Ok(self.client.models().show(self.name.clone()).await?.model)
    }

    async fn instance(&self) -> Result<Instance, Failure> {
        Ok(self.model().await?.instance.ok_or_else(left)?)
    }

    /// What the runtime holds of weights, which is what a token reads but for an embedding that
    /// is not the head as well.
    async fn step_bytes(&self, instance: &Instance) -> Result<u64, Failure> {
        let request = EstimateRequest {
            name: self.name.clone(),
            context_length: Some(instance.context_length),
            level: instance.level,
        };
        let estimate = self.client.models().estimate(request).await?;
        Ok(estimate.step_bytes)
    }
}

fn left() -> Fault {
    Fault::new(
        airunner_core::ErrorKind::Unavailable,
        "the model left memory while it was measured: see airunner ps for who needs it, and try again",
    )
}

async fn read_memory() -> Result<f64, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let reading = tokio::task::spawn_blocking(move || bandwidth::read_bandwidth(threads));
    reading.await.map_err(Failure::internal)
}
