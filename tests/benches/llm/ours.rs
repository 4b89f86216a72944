//! The product: the release daemon in a home of its own, asked through the client.

use std::path::Path;
use std::time::{Duration, Instant};

use airunner_core::ModelName;
use airunner_core::generate::GenerateRequest;
use airunner_core::model::{Instance, LoadEvent, LoadRequest, UnloadRequest};
use airunner_ipc_client::{Client, Endpoint};
use airunner_tests::bench::{self, Timed, answer, prompt};
use airunner_tests::{Daemon, Home};
use anyhow::{Context, ensure};

/// A copy for our own kernels is made in the background.
const PATIENCE: Duration = Duration::from_secs(180);

/// A daemon with the package installed.
pub(crate) struct Ours {
    daemon: Daemon,
    pub(crate) client: Client,
    model: ModelName,
}

impl Ours {
    /// With these settings, such as `AIRUNNER_RUNTIME_CONTEXT_LENGTH`.
    pub(crate) async fn start(package: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut home = Home::new();
        let threads = std::thread::available_parallelism()?.to_string();
        home.set("AIRUNNER_RUNTIME_THREADS", threads);
        for (name, value) in settings {
            home.set(*name, *value);
        }
        let daemon = Daemon::start_in(home).await;
        let path = package.to_str().context("the package's path is not text")?;
        let import = ["models", "import", path, "--name", "bench", "--link"];
        daemon.home.cli().run(&import).await.succeeded();
        let status = daemon.home.cli().json(&["status"]).await;
        let socket = status["socket"].as_str().context("status names the socket")?;
        Ok(Self {
            client: Client::connect(&Endpoint::at(socket.into())).await?,
            daemon,
            model: ModelName::new("bench")?,
        })
    }

    pub(crate) async fn stop(self) {
        self.daemon.stop().await;
    }

    /// Drawn, not the likeliest: a random model's likeliest tokens go in circles, which guessing
    /// from the prompt would make faster than any text is.
    pub(crate) fn request(&self, prompt: String, tokens: u32, seed: u64) -> GenerateRequest {
        let mut request = bench::request(&self.model, prompt, tokens);
        request.sampling.temperature = Some(1.0);
        request.sampling.seed = Some(seed);
        request
    }

    pub(crate) async fn ask(&self, prompt: String, tokens: u32, seed: u64) -> anyhow::Result<Timed> {
        let timed = answer(&self.client, self.request(prompt, tokens, seed)).await?;
        ensure!(!timed.pieces.is_empty(), "an answer has no text");
        Ok(timed)
    }

    /// Tokens per second of reading a new prompt, by the client's clock.
    pub(crate) async fn prompt(&self, tokens: usize, seed: u64) -> anyhow::Result<f64> {
        let timed = self.ask(prompt(tokens, seed), 1, seed).await?;
        Ok(tokens as f64 / (timed.first() - timed.begin).as_secs_f64())
    }

    /// Tokens per second of all streams, over the time in which all of them decode.
    pub(crate) async fn decode(
        &self,
        streams: usize,
        length: usize,
        tokens: u32,
        seed: u64,
    ) -> anyhow::Result<f64> {
        let one = |index: usize| {
            let seed = seed + 1_000_000 * (index as u64 + 1);
            self.ask(prompt(length, seed), tokens, seed)
        };
        let answers = futures_util::future::try_join_all((0..streams).map(one)).await?;
        rate_together(&answers).context("the streams never decoded together")
    }

    /// From asking to loaded, and what was loaded.
    pub(crate) async fn load(&self) -> anyhow::Result<(Duration, Instance)> {
        let begin = Instant::now();
        let mut events = self
            .client
            .models()
            .load(LoadRequest::new(self.model.clone()))
            .await?;
        while let Some(event) = events.next().await {
            if let LoadEvent::Loaded(model) = event? {
                let instance = model.instance.context("a loaded model has a worker")?;
                return Ok((begin.elapsed(), instance));
            }
        }
        anyhow::bail!("the load has no end")
    }

    /// Loads the model, and waits until it is the copy that answers: it is made while the model
    /// rests, and the worker is then replaced by one from it.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !self.load().await?.1.prepacked {
            ensure!(begin.elapsed() < PATIENCE, "no copy for our own kernels was made");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    pub(crate) async fn unload(&self) -> anyhow::Result<()> {
        let request = UnloadRequest {
            name: self.model.clone(),
            force: false,
        };
        self.client.models().unload(request).await?;
        Ok(())
    }
}

/// Tokens per second between the last first token and the first last one.
fn rate_together(answers: &[Timed]) -> Option<f64> {
    let begin = answers.iter().map(Timed::first).max()?;
    let end = answers.iter().map(Timed::last).min()?;
    let pieces = answers.iter().flat_map(|timed| &timed.pieces);
    let tokens = pieces.filter(|&&at| at > begin && at <= end).count();
    let time = end.checked_duration_since(begin)?.as_secs_f64();
    (time > 0.0 && tokens > 0).then(|| tokens as f64 / time)
}
