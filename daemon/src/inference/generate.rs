//! One request for an answer, from arrival to the last event.

use std::sync::Arc;
use std::time::Duration;

use airunner_core::generate::{GenerateEvent, GenerateRequest};
use airunner_core::{ErrorKind, Fault, ModelName};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::Answer;
use super::counting::Counting;
use super::timing::{Wait, Waited};
use crate::models::{Access, Lease, Models, Turn};
use crate::traces::Answering;
use crate::usage::Usage;

/// Events that may wait for the caller.
const CAPACITY: usize = 64;
/// A worker whose connection broke is given this long to be seen dead, for a better message.
const POST_MORTEM: Duration = Duration::from_secs(3);

/// The way to the caller.
struct Caller {
    sender: mpsc::Sender<Result<GenerateEvent, Fault>>,
    /// Without taking a single event for so long, it has stopped reading.
    patience: Duration,
}

/// The caller is gone or does not read: there is nobody to tell anything.
struct Unheard;

pub(super) fn start(
    models: Models,
    usage: Usage,
    mut answering: Option<Answering>,
    request: GenerateRequest,
    patience: Duration,
) -> Answer {
    let (sender, answer) = mpsc::channel(CAPACITY);
    let caller = Caller { sender, patience };
    tokio::spawn(async move {
        let model = request.model.clone();
        // A caller who leaves is noticed at once, not only at the next event.
        let outcome = tokio::select! {
            outcome = run(&models, &usage, &mut answering, request, &caller) => outcome,
            () = caller.sender.closed() => Ok(Err(Unheard)),
        };
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(Unheard)) => tracing::debug!(%model, "the caller is gone, its request is cancelled"),
            Err(fault) => {
                if let Some(answering) = &mut answering {
                    answering.failed(&fault);
                }
                tracing::info!(%model, reason = %fault.kind, "request failed");
                // The answer may have to wait for a reader, the model must not.
                if tokio::time::timeout(patience, caller.sender.send(Err(fault)))
                    .await
                    .is_err()
                {
                    tracing::debug!(%model, "the caller does not read the error");
                }
            }
        }
    });
    answer
}

/// The lease lives and dies in here.
async fn run(
    models: &Models,
    usage: &Usage,
    answering: &mut Option<Answering>,
    mut request: GenerateRequest,
    caller: &Caller,
) -> Result<Result<(), Unheard>, Fault> {
    let mut wait = Wait::start();
    models.find(&request.model).await?.defaults.complete(&mut request);
    let mut acquisition = models.acquire(access(&request)).await?;
    let lease = loop {
        let event = match acquisition.turn().await? {
            Turn::Granted(lease) => break lease,
            Turn::Queued(queued) => GenerateEvent::Queued(queued),
            Turn::Loading(progress) => {
                wait.loads();
                GenerateEvent::Loading(progress)
            }
        };
        if caller.send(event).await?.is_err() {
            return Ok(Err(Unheard));
        }
    };
    // It has been answered, and must not watch the model any longer.
    drop(acquisition);
    let counting = Counting::new(usage.clone(), request.model.clone());
    let answered = answer(models, lease, request, wait.granted(), caller).await;
    let Ok(done) = counting.end(answered)? else {
        return Ok(Err(Unheard));
    };
    if let (Some(answering), GenerateEvent::Done(done)) = (answering, &done) {
        answering.done(done);
    }
    // Whoever reads the last event finds the model free again.
    models.settle().await;
    caller.send(done).await
}

fn access(request: &GenerateRequest) -> Access {
    Access {
        model: request.model.clone(),
        keep_alive: request.keep_alive,
        client: request.client,
        priority: request.priority,
        max_wait: request.max_wait,
    }
}

/// Passes on everything but the last event, which comes back.
async fn answer(
    models: &Models,
    mut lease: Lease,
    request: GenerateRequest,
    waited: Waited,
    caller: &Caller,
) -> Result<Result<GenerateEvent, Unheard>, Fault> {
    let model = request.model.clone();
    let llm = Arc::clone(&lease.llm);
    let forward = async {
        let mut events = llm.generate(request).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            if let GenerateEvent::Done(done) = event {
                return Ok(Ok(GenerateEvent::Done(waited.add_to(done))));
            }
            if caller.send(event).await?.is_err() {
                return Ok(Err(Unheard));
            }
        }
        Err(Fault::internal("the worker ended the answer too early"))
    };
    let mut forward = std::pin::pin!(forward);
    let outcome = tokio::select! {
        biased;
        fault = lease.cancelled() => {
            if fault.kind == ErrorKind::WorkerCrashed {
                // What the worker said before it died is the caller's.
                drop(tokio::time::timeout(POST_MORTEM, forward).await);
            }
            return Err(fault);
        }
        outcome = &mut forward => outcome,
    };
    match outcome {
        Err(fault) if fault.kind == ErrorKind::DaemonNotRunning => {
            Err(post_mortem(models, model, lease).await)
        }
        outcome => outcome,
    }
}

/// The connection to the worker broke: how the worker died is known a moment later. One that
/// lives on cannot be reached any more and has to go.
async fn post_mortem(models: &Models, model: ModelName, mut lease: Lease) -> Fault {
    if let Ok(fault) = tokio::time::timeout(POST_MORTEM, lease.cancelled()).await {
        return fault;
    }
    tracing::error!(%model, "the worker lives but cannot be reached, so it is ended");
    let models = models.clone();
    tokio::spawn(async move { models.unload(model, true).await });
    Fault::new(
        ErrorKind::WorkerCrashed,
        "the connection to the model's worker broke: try again",
    )
}

impl Caller {
    async fn send(&self, event: GenerateEvent) -> Result<Result<(), Unheard>, Fault> {
        match tokio::time::timeout(self.patience, self.sender.send(Ok(event))).await {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(_)) => Ok(Err(Unheard)),
            Err(_) => Err(Fault::new(
                ErrorKind::ClientStalled,
                format!(
                    "nothing of the answer was read for {} s, so it was given up",
                    self.patience.as_secs()
                ),
            )),
        }
    }
}
