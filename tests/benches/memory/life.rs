//! One worker process from its start to its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use airunner_core::ModelName;
use airunner_core::generate::{GenerateEvent, GenerateRequest, Input};
use airunner_core::hardware::ProcessMemory;
use airunner_core::lifecycle::{AttemptId, Stop};
use airunner_core::model::{CacheType, Loaded, WorkerLoad};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeInput, TokenizeRequest};
use airunner_daemon::config::LogLevel;
use airunner_daemon::workers::{
    Launcher, Llm, News, Order, ProcessLauncher, Report, Reports, WorkerHandle, WorkerOptions,
};
use airunner_platform::{ChildLimits, process};
use airunner_tests::{binary, onnxruntime_library};
use anyhow::{Context, anyhow};
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};

/// Prompt tokens of one step, as in the settings' default.
pub(crate) const PROMPT_CHUNK: u32 = 256;
/// Requests decoded together, as in the settings' default.
pub(crate) const PARALLEL_REQUESTS: u32 = 8;

/// Where workers get their sockets.
pub(crate) struct Workplace(tempfile::TempDir);

impl Workplace {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn options(&self, copies: Option<&Path>) -> anyhow::Result<WorkerOptions> {
        let threads = std::thread::available_parallelism()?.get();
        let copies = copies.map(|path| path.to_str().map(str::to_owned).context("a path is text"));
        Ok(WorkerOptions {
            executable: binary("airunnerd"),
            sockets: self.0.path().to_owned(),
            limits: ChildLimits::default(),
            log_level: LogLevel::Warn,
            load_timeout: Duration::from_secs(600),
            stop_timeout: Duration::from_secs(5),
            onnxruntime_library: onnxruntime_library(),
            load: WorkerLoad {
                directory: String::new(),
                onnxruntime_library: String::new(),
                threads: Some(u32::try_from(threads)?),
                allow_spinning: false,
                context_length: None,
                parallel_requests: PARALLEL_REQUESTS,
                queue_length: 64,
                cache_type: CacheType::Auto,
                cache_on_disk: None,
                prompt_chunk: PROMPT_CHUNK,
                variant: None,
                prepacked_directory: copies.transpose()?,
                kernels: None,
            },
        })
    }
}

/// A loaded model in its worker.
pub(crate) struct Life {
    pub(crate) loaded: Loaded,
    pub(crate) load_time: Duration,
    pid: u32,
    llm: Arc<dyn Llm>,
    handle: Option<WorkerHandle>,
    reports: mpsc::Receiver<Report>,
}

impl Life {
    pub(crate) async fn begin(
        workplace: &Workplace,
        package: &Path,
        context: u32,
        copies: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let (_, options) = watch::channel(Arc::new(workplace.options(copies)?));
        let launcher = ProcessLauncher::new(options);
        let (sender, mut reports) = mpsc::channel(256);
        let (model, attempt) = (ModelName::new("bench")?, AttemptId(1));
        let order = Order {
            model: model.clone(),
            attempt,
            directory: PathBuf::from(package),
            variant: None,
            context_length: Some(context),
        };
        let begin = Instant::now();
        let handle = launcher.launch(
            order,
            Reports {
                model,
                attempt,
                sender,
            },
        );
        let mut pid = 0;
        loop {
            let report = reports.recv().await.context("the worker reports")?;
            match report.news {
                News::Started { pid: started } => pid = started,
                News::Progress(_) | News::Memory(_) => {}
                News::Loaded { loaded, llm } => {
                    return Ok(Self {
                        loaded,
                        load_time: begin.elapsed(),
                        pid,
                        llm,
                        handle: Some(handle),
                        reports,
                    });
                }
                News::LoadFailed { fault, .. } | News::Exited(fault) => return Err(anyhow!("{fault}")),
                News::Stopped => return Err(anyhow!("the worker stopped")),
            }
        }
    }

    /// One conversation as long as the context: all of it but one token is the prompt.
    pub(crate) async fn fill(&self) -> anyhow::Result<u32> {
        let room = self.loaded.context_length.saturating_sub(1);
        let text = self.text_of(room).await?;
        let mut request = GenerateRequest::new(ModelName::new("bench")?, Input::Raw(text));
        (request.sampling.temperature, request.max_tokens) = (Some(0.0), Some(1));
        let answer = self.llm.generate(request).await;
        let mut answer = answer.map_err(|fault| anyhow!("{fault}"))?;
        while let Some(event) = answer.next().await {
            if let GenerateEvent::Done(done) = event.map_err(|fault| anyhow!("{fault}"))? {
                return Ok(done.usage.prompt_tokens);
            }
        }
        anyhow::bail!("the answer has no end")
    }

    /// A text of nearly so many tokens, and no more.
    async fn text_of(&self, tokens: u32) -> anyhow::Result<String> {
        const FIRST: u32 = 3;
        const DIFFERENT: u32 = 300;
        let model = ModelName::new("bench")?;
        let mut text = self
            .llm
            .detokenize(DetokenizeRequest {
                model: model.clone(),
                tokens: (0..tokens).map(|index| FIRST + index % DIFFERENT).collect(),
                skip_special_tokens: true,
            })
            .await
            .map_err(|fault| anyhow!("{fault}"))?;
        loop {
            let request = TokenizeRequest {
                model: model.clone(),
                input: TokenizeInput::Text {
                    text: text.clone(),
                    add_special_tokens: true,
                },
            };
            let counted = self.llm.tokenize(request).await;
            let counted = counted.map_err(|fault| anyhow!("{fault}"))?.len();
            if counted <= tokens as usize {
                return Ok(text);
            }
            let characters = text.chars().count();
            let kept = (characters * tokens as usize / counted).min(characters.saturating_sub(1));
            text = text.chars().take(kept).collect();
        }
    }

    pub(crate) fn memory(&self) -> anyhow::Result<ProcessMemory> {
        process::memory(self.pid).context("the worker lives")
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        if let Some(handle) = self.handle.take() {
            handle.stop(Stop::Graceful);
        }
        while let Some(report) = self.reports.recv().await {
            if matches!(report.news, News::Stopped | News::Exited(_)) {
                return Ok(());
            }
        }
        anyhow::bail!("the worker's end was not reported")
    }
}
