//! The fake model at work: one thread that waits on timers, a task per request.

use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use airunner_core::generate::{
    Done, FinishReason, GenerateEvent, GenerateRequest, Input, TextDelta, Timings, ToolCallDelta, Usage,
};
use airunner_core::model::{CacheType, LoadProgress, LoadStage, Loaded, Queued};
use airunner_core::{ErrorKind, Fault};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::answer::{Answer, prompt_text};
use super::script::{Place, Script, ScriptedCall, ScriptedVariant};
use super::{Reached, reach};
use crate::{LlmRuntime, LoadOptions, TokenizeInput};

const EVENTS: usize = 256;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked whether a gate has opened.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

type Events = mpsc::Sender<Result<GenerateEvent, Fault>>;

pub(super) struct FakeRuntime {
    script: Arc<Script>,
    loaded: Loaded,
    places: Arc<Semaphore>,
    /// Requests that wait or run.
    present: Arc<AtomicUsize>,
    parallel_requests: usize,
    queue_length: usize,
    threads: usize,
    timers: Handle,
    /// Dropped to end the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _memory: Vec<u8>,
    /// Given back by a trim, and had again by the next request.
    cache: Mutex<Vec<u8>>,
    cache_bytes: usize,
}

pub(super) fn load(
    script: Script,
    directory: &Path,
    options: &LoadOptions,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Box<dyn LlmRuntime>, Fault> {
    progress(LoadProgress {
        stage: LoadStage::Checking,
        fraction: 0.0,
    });
    script.fail_at("load")?;
    if reach(&script, Place::Load) == Reached::Hang {
        wait_for_ever();
    }
    while is_closed(&script, Place::Load) {
        wait(LOOK_AGAIN);
    }
    kill_the_first(directory, script.kill_on_load_times)?;
    for (step, &milliseconds) in script.load_ms_steps.iter().enumerate() {
        wait(Duration::from_millis(milliseconds));
        #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
        let fraction = (step + 1) as f32 / (script.load_ms_steps.len() + 1) as f32;
        progress(LoadProgress {
            stage: LoadStage::Weights,
            fraction,
        });
    }
    let runtime = FakeRuntime::start(script, options)?;
    progress(LoadProgress {
        stage: LoadStage::Ready,
        fraction: 1.0,
    });
    Ok(Box::new(runtime))
}

impl FakeRuntime {
    fn start(script: Script, options: &LoadOptions) -> Result<Self, Fault> {
        let context_length = options
            .context_length
            .map_or(script.context_length, |cap| cap.min(script.context_length));
        let variant = choose(&script, options.variant.as_deref())?;
        let (memory, cache_bytes) = allocate(&script, &variant, context_length)?;
        let internal =
            |error: std::io::Error| Fault::internal(format!("cannot start the fake model: {error}"));
        let timers = Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(internal)?;
        let handle = timers.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("fake-model".to_owned())
            .spawn(move || drop(timers.block_on(ended)))
            .map_err(internal)?;
        Ok(Self {
            loaded: Loaded {
                device: "cpu".to_owned(),
                context_length,
                level: Some(variant.level),
                variant: variant.file,
                prepacked: false,
                cache_type: match options.cache_type {
                    CacheType::Auto => CacheType::F32,
                    kind @ (CacheType::F32 | CacheType::F16 | CacheType::Q8) => kind,
                }
                .as_str()
                .to_owned(),
                warnings: script.warnings.clone(),
            },
            _memory: memory,
            cache: Mutex::new(vec![1; cache_bytes]),
            cache_bytes,
            places: Arc::new(Semaphore::new(options.parallel_requests.max(1))),
            present: Arc::new(AtomicUsize::new(0)),
            parallel_requests: options.parallel_requests.max(1),
            queue_length: options.queue_length,
            threads: options.threads.unwrap_or(1).max(1),
            script: Arc::new(script),
            timers: handle,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// Counts a request in; the number of those before it, if there is room.
    fn enter(&self) -> Result<usize, Fault> {
        let room = self.parallel_requests + self.queue_length;
        self.present
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |present| {
                (present < room).then_some(present + 1)
            })
            .map_err(|_| {
                Fault::new(
                    ErrorKind::QueueFull,
                    format!("{} requests wait already: try again later", self.queue_length),
                )
                .retry_after(RETRY_AFTER)
            })
    }
}

impl LlmRuntime for FakeRuntime {
    fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn generate(
        &self,
        request: GenerateRequest,
        arrived: Instant,
    ) -> Result<mpsc::Receiver<Result<GenerateEvent, Fault>>, Fault> {
        request.validate()?;
        self.script.fail_at("generate")?;
        let answer = Answer::to(&request, &self.script)?;
        let before = self.enter()?;
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .resize(self.cache_bytes, 1);
        let (events, receiver) = mpsc::channel(EVENTS);
        let (script, places, present) = (
            Arc::clone(&self.script),
            Arc::clone(&self.places),
            Arc::clone(&self.present),
        );
        let waiting = before.checked_sub(self.parallel_requests);
        self.timers.spawn(async move {
            let closed = events.clone();
            let streamed = async {
                if let Some(position) = waiting {
                    let position = u32::try_from(position).unwrap_or(u32::MAX);
                    let queued = Queued {
                        position,
                        ..Queued::default()
                    };
                    send(&events, &script, GenerateEvent::Queued(queued)).await?;
                }
                let _place = places.acquire().await;
                stream(&events, &script, answer, arrived).await
            };
            tokio::select! {
                result = pin!(streamed) => if let Err(fault) = result { drop(events.try_send(Err(fault))) },
                () = closed.closed() => {}
            }
            present.fetch_sub(1, Ordering::AcqRel);
        });
        Ok(receiver)
    }

    /// One token per byte.
    fn tokenize(&self, input: &TokenizeInput) -> Result<Vec<u32>, Fault> {
        let (earlier, text) = match input {
            TokenizeInput::Text { text, .. } => (Vec::new(), text.clone()),
            TokenizeInput::Conversation(conversation) => (
                conversation.earlier.clone(),
                prompt_text(&Input::Conversation(conversation.clone())),
            ),
        };
        Ok(earlier.into_iter().chain(text.bytes().map(u32::from)).collect())
    }

    fn trim(&self) -> Result<(), Fault> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        *cache = Vec::new();
        Ok(())
    }

    fn use_threads(&self, most: usize) -> usize {
        most.clamp(1, self.threads)
    }

    fn detokenize(&self, tokens: &[u32], _skip_special_tokens: bool) -> Result<String, Fault> {
        let bytes: Result<Vec<u8>, _> = tokens.iter().map(|&token| u8::try_from(token)).collect();
        let bytes = bytes.map_err(|_| Fault::invalid("a token of the fake model is at most 255"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for FakeRuntime {
    fn drop(&mut self) {
        if reach(&self.script, Place::Unload) == Reached::Hang {
            wait_for_ever();
        }
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn choose(script: &Script, wanted: Option<&str>) -> Result<ScriptedVariant, Fault> {
    let mut variants = script.variants().into_iter();
    let found = variants.find(|variant| wanted.is_none_or(|wanted| variant.file == wanted));
    found.ok_or_else(|| {
        let wanted = wanted.unwrap_or_default();
        Fault::invalid(format!("the package has no variant {wanted}"))
    })
}

/// What the model holds for good, and the size of its cache.
fn allocate(
    script: &Script,
    variant: &ScriptedVariant,
    context_length: u32,
) -> Result<(Vec<u8>, usize), Fault> {
    let cache = variant
        .cache_bytes_per_token
        .saturating_mul(u64::from(context_length));
    let memory = variant.weights_bytes.saturating_add(variant.activation_bytes);
    let all = memory.saturating_add(cache);
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let out_of_memory = || Fault::new(ErrorKind::OutOfMemory, format!("no memory for {all} bytes"));
    if script.out_of_memory_above.is_some_and(|limit| all > limit) {
        return Err(out_of_memory());
    }
    let mut held = Vec::new();
    held.try_reserve_exact(size(all)).map_err(|_| out_of_memory())?;
    held = Vec::new();
    held.resize(size(memory), 1);
    Ok((held, size(cache)))
}

/// As the system's killer does it: no destructor runs and nothing is said.
fn kill_the_first(directory: &Path, times: u32) -> Result<(), Fault> {
    if times == 0 {
        return Ok(());
    }
    let counter = directory.join(".fake-loads");
    let count = std::fs::read_to_string(&counter)
        .ok()
        .and_then(|text| text.parse::<u32>().ok())
        .unwrap_or(0);
    if count >= times {
        return Ok(());
    }
    std::fs::write(&counter, (count + 1).to_string())
        .map_err(|error| Fault::internal(format!("cannot count the loads: {error}")))?;
    kill_this_process();
}

#[cfg(unix)]
fn kill_this_process() -> ! {
    const SIGKILL: std::ffi::c_int = 9;
    #[expect(unsafe_code, reason = "no crate in use offers it")]
    unsafe extern "C" {
        safe fn raise(signal: std::ffi::c_int) -> std::ffi::c_int;
    }
    raise(SIGKILL);
    wait_for_ever()
}

#[cfg(not(unix))]
fn kill_this_process() -> ! {
    std::process::abort()
}

async fn stream(events: &Events, script: &Script, answer: Answer, arrived: Instant) -> Result<(), Fault> {
    let started = Instant::now();
    let total_tokens = answer.prompt_tokens;
    send(
        events,
        script,
        GenerateEvent::Prompt {
            processed_tokens: 0,
            total_tokens,
            cached_tokens: 0,
        },
    )
    .await?;
    pause(script.prompt_ms).await;
    if script.nan {
        return Err(Fault::new(
            ErrorKind::ModelFaulty,
            "the model computed something that is not a number",
        ));
    }
    let done = GenerateEvent::Prompt {
        processed_tokens: total_tokens,
        total_tokens,
        cached_tokens: 0,
    };
    send(events, script, done).await?;
    for text in &answer.reasoning {
        let delta = TextDelta {
            text: text.clone(),
            logprobs: Vec::new(),
        };
        send(events, script, GenerateEvent::Reasoning(delta)).await?;
    }
    let first_token = started.elapsed();
    let completion_tokens = u32::try_from(answer.pieces.len()).unwrap_or(u32::MAX);
    for (count, text) in answer.pieces.iter().enumerate() {
        at(script, count).await;
        pause(script.token_interval_ms).await;
        send(events, script, GenerateEvent::Text(answer.delta(text))).await?;
    }
    at(script, completion_tokens as usize).await;
    if answer.finish_reason == FinishReason::ToolCalls {
        call_tools(events, script, &answer.calls).await?;
    }
    let decode = started.elapsed().saturating_sub(first_token);
    let timings = Timings {
        queue: started.saturating_duration_since(arrived),
        prompt: first_token,
        first_token: started.saturating_duration_since(arrived) + first_token,
        decode,
        prompt_tokens_per_second: per_second(total_tokens, first_token),
        tokens_per_second: per_second(completion_tokens, decode),
        ..Timings::default()
    };
    let usage = Usage {
        prompt_tokens: total_tokens,
        cached_tokens: 0,
        completion_tokens,
    };
    send(
        events,
        script,
        GenerateEvent::Done(Done {
            finish_reason: answer.finish_reason,
            stop_sequence: answer.stop_sequence,
            usage,
            timings,
        }),
    )
    .await
}

async fn call_tools(events: &Events, script: &Script, calls: &[ScriptedCall]) -> Result<(), Fault> {
    for (index, call) in (0..).zip(calls) {
        let arguments: Vec<char> = call.arguments.to_string().chars().collect();
        let size = arguments.len().div_ceil(script.argument_pieces.max(1)).max(1);
        for (piece, part) in arguments.chunks(size).enumerate() {
            let is_first = piece == 0;
            let delta = ToolCallDelta {
                index,
                id: is_first.then(|| format!("call_{index}")),
                name: is_first.then(|| call.name.clone()),
                arguments: part.iter().collect(),
            };
            send(events, script, GenerateEvent::ToolCall(delta)).await?;
        }
    }
    Ok(())
}

/// What the script does so many tokens into an answer.
async fn at(script: &Script, count: usize) {
    if reach(script, Place::Generate(count)) == Reached::Hang {
        std::future::pending::<()>().await;
    }
    while is_closed(script, Place::Generate(count)) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn is_closed(script: &Script, place: Place) -> bool {
    let gate = script.waits_for.as_ref();
    gate.is_some_and(|gate| gate.is_closed(place))
}

async fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    } else {
        tokio::task::yield_now().await;
    }
}

async fn send(events: &Events, script: &Script, event: GenerateEvent) -> Result<(), Fault> {
    match tokio::time::timeout(Duration::from_millis(script.stall_ms), events.send(Ok(event))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Fault::new(ErrorKind::Cancelled, "the caller left")),
        Err(_) => Err(Fault::new(
            ErrorKind::ClientStalled,
            "the reader of the answer stopped reading",
        )),
    }
}

fn per_second(tokens: u32, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        f64::from(tokens) / time.as_secs_f64()
    }
}

fn wait(time: Duration) {
    let gate = Mutex::new(());
    let guard = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let until = Instant::now() + time;
    let never = |(): &mut ()| Instant::now() < until;
    drop(Condvar::new().wait_timeout_while(guard, time, never));
}

fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}
