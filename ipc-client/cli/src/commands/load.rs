use std::time::Duration;

use airunner_core::lifecycle::StateName;
use airunner_core::memory::Quantization;
use airunner_core::model::{LoadEvent, LoadRequest, Model};
use airunner_core::{Fault, KeepAlive};
use airunner_ipc_client::Client;
use clap::Args;

use crate::connection::connect_for;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Context;
use crate::units;
use crate::value;
use crate::views::ProcessRow;

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The model's name, as in `airunner models`.
    name: String,
    /// How long it stays loaded after its last request, such as 10m; 0 unloads at once, -1 never.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    keep_alive: Option<KeepAlive>,
    /// Keep it when others need memory.
    #[arg(long)]
    pin: bool,
    /// Let it go again when others need memory.
    #[arg(long, conflicts_with = "pin")]
    unpin: bool,
    /// Tokens of one conversation; the configured length if left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Precision; the best that fits if left out.
    #[arg(long, value_name = "L", value_parser = value::level())]
    level: Option<Quantization>,
    /// How long it may wait for memory, such as 30s; as long as it takes if left out.
    #[arg(long, value_name = "T", value_parser = units::parse_duration)]
    max_wait: Option<Duration>,
}

impl Load {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (client, name) = connect_for(&self.name).await?;
        let request = LoadRequest {
            keep_alive: self.keep_alive,
            pinned: match (self.pin, self.unpin) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            },
            context_length: self.context,
            level: self.level,
            max_wait: self.max_wait,
            priority: context.output.priority(),
            ..LoadRequest::new(name)
        };
        let model = load(&client, request, context).await?;
        if context.output.is_json() {
            return context.output.value(&ProcessRow::from(&model));
        }
        context.output.line(&outcome(&model))
    }
}

fn outcome(model: &Model) -> String {
    let name = &model.name;
    match (model.state, &model.instance) {
        (StateName::Loaded | StateName::Busy | StateName::Loading, Some(instance)) => {
            let memory = units::size(instance.memory_bytes);
            let (device, length) = (&instance.device, instance.context_length);
            format!("{name} is loaded ({device}, {memory}, context {length})")
        }
        (StateName::Unloading | StateName::Unloaded, _) | (_, None) => {
            format!("{name} was loaded, and is leaving memory again: see airunner ps for who needs it")
        }
    }
}

async fn load(client: &Client, request: LoadRequest, context: &Context) -> Result<Model, Failure> {
    let progress = Progress::new(&context.output, "waiting for the model");
    let mut events = client.models().load(request).await?;
    while let Some(event) = events.next().await {
        match event? {
            LoadEvent::Queued(queued) => progress.queued(&queued),
            LoadEvent::Progress(now) => progress.load(&now),
            LoadEvent::Loaded(model) => return Ok(*model),
        }
    }
    Err(Fault::internal("the load has no end").into())
}

#[cfg(test)]
mod tests {
    use airunner_core::ModelName;
    use airunner_core::model::{Instance, ModelKind, Source};

    use super::*;

    #[test]
    fn a_model_that_had_to_go_at_once_is_not_called_loaded() {
        let mut model = Model {
            name: ModelName::new("tiny").unwrap(),
            kind: ModelKind::Llm,
            state: StateName::Loaded,
            size_bytes: 1,
            source: Source::Builtin,
            instance: Some(Instance {
                device: "cpu".into(),
                memory_bytes: 5 << 20,
                context_length: 2048,
                ..Instance::default()
            }),
            last_unload_reason: None,
            waiting_requests: 0,
        };
        assert_eq!(outcome(&model), "tiny is loaded (cpu, 5.0 MiB, context 2048)");
        for state in [StateName::Unloading, StateName::Unloaded] {
            model.state = state;
            assert!(outcome(&model).contains("leaving memory"), "{state}");
        }
    }
}
