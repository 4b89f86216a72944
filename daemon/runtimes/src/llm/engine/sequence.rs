//! One request at work.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use airunner_core::generate::{ClientId, Done, FinishReason, GenerateEvent, Timings, Usage};
use airunner_core::model::Queued;
use airunner_core::{Fault, Priority};
use tokio::sync::mpsc::error::TrySendError;

use super::courier::{Event, Events, Watch};
use super::schedule::Phase;
use super::speculation::{self, Pace};
use super::turn::{CHOSEN, Claim, READ};
use crate::llm::constraint::{Allowed, Constraint};
use crate::llm::sampling::{Restrict, Sampled, Sampler};
use crate::llm::text::Output;

/// A counted place in queue or batch; given back when dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    /// The place and how many are taken before it; `None` if `limit` are.
    pub(super) fn take(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < limit).then_some(count + 1)
            })
            .ok()
            .map(|_| Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request that waits for a slot.
pub(super) struct Request {
    pub(super) prompt: Vec<u32>,
    pub(super) sampler: Sampler,
    pub(super) output: Output,
    pub(super) constraint: Option<Box<Constraint>>,
    /// Tokens the answer may have.
    pub(super) limit: usize,
    pub(super) events: Events,
    pub(super) arrived: Instant,
    pub(super) place: Place,
    pub(super) client: ClientId,
    /// Nothing of it may be put on the disk.
    pub(super) is_private: bool,
    pub(super) priority: Priority,
    /// As last told to the reader.
    pub(super) position: Option<u32>,
}

impl Request {
    /// Tells the reader its place in the queue when it has changed.
    pub(super) fn tell_position(&mut self, position: usize) {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        if self.position != Some(position) && self.events.capacity() > self.events.max_capacity() / 2 {
            self.position = Some(position);
            let queued = Queued {
                position,
                ..Queued::default()
            };
            drop(self.events.try_send(Ok(GenerateEvent::Queued(queued))));
        }
    }
}

/// Who waits for a slot.
pub(super) enum Waiting {
    New(Box<Request>, Claim),
    /// It gave its slot up.
    Again(Box<Sequence>),
}

impl Waiting {
    pub(super) fn claim(&self) -> &Claim {
        match self {
            Self::New(_, claim) => claim,
            Self::Again(sequence) => &sequence.claim,
        }
    }

    /// Its reader does not keep up: it waits for that first.
    pub(super) fn is_parked(&self) -> bool {
        match self {
            Self::New(..) => false,
            Self::Again(sequence) => sequence.is_parked(),
        }
    }

    /// See [`Sequence::try_wake`].
    pub(super) fn try_wake(&mut self, now: Instant) -> Option<Duration> {
        match self {
            Self::New(..) => None,
            Self::Again(sequence) => sequence.try_wake(now),
        }
    }

    /// All tokens that are to be in the cache.
    pub(super) fn tokens(&self) -> &[u32] {
        match self {
            Self::New(request, _) => &request.prompt,
            Self::Again(sequence) => &sequence.tokens,
        }
    }

    pub(super) fn events(&self) -> &Events {
        match self {
            Self::New(request, _) => &request.events,
            Self::Again(sequence) => &sequence.events,
        }
    }

    pub(super) fn tell_position(&mut self, position: usize) {
        match self {
            Self::New(request, _) => request.tell_position(position),
            // Its reader has seen it begin.
            Self::Again(_) => {}
        }
    }

    /// In a slot that holds its first tokens already.
    pub(super) fn admit(self, held: usize) -> Box<Sequence> {
        match self {
            Self::New(request, claim) => Box::new(Sequence::admit(*request, held, claim)),
            Self::Again(mut sequence) => {
                sequence.computed = held;
                sequence.billed = sequence.billed.max(held);
                sequence
            }
        }
    }

    pub(super) fn fail(self, fault: Fault) -> (Events, VecDeque<Event>) {
        match self {
            Self::New(request, _) => (request.events, VecDeque::from([Err(fault)])),
            Self::Again(sequence) => sequence.fail(fault),
        }
    }
}

/// A request in a slot.
pub(super) struct Sequence {
    /// Prompt and answer.
    pub(super) tokens: Vec<u32>,
    /// So many of them are in the cache.
    pub(super) computed: usize,
    prompt_length: usize,
    cached: usize,
    limit: usize,
    pub(super) is_private: bool,
    pub(super) sampler: Sampler,
    output: Output,
    constraint: Option<Box<Constraint>>,
    pub(super) events: Events,
    /// What did not fit into the channel.
    pending: VecDeque<Event>,
    parked_since: Option<Instant>,
    pub(super) claim: Claim,
    /// Its tokens up to here count as computed for its client.
    billed: usize,
    pub(super) pace: Pace,
    arrived: Instant,
    admitted: Instant,
    first_token: Option<Instant>,
    pub(super) watch: Option<Watch>,
    _place: Place,
}

impl Sequence {
    fn admit(request: Request, cached: usize, claim: Claim) -> Self {
        let mut sequence = Self {
            prompt_length: request.prompt.len(),
            tokens: request.prompt,
            computed: cached,
            cached,
            limit: request.limit,
            is_private: request.is_private,
            sampler: request.sampler,
            output: request.output,
            constraint: request.constraint,
            events: request.events,
            pending: VecDeque::new(),
            parked_since: None,
            claim,
            billed: cached,
            pace: Pace::default(),
            arrived: request.arrived,
            admitted: Instant::now(),
            first_token: None,
            watch: None,
            _place: request.place,
        };
        sequence.tell_progress();
        sequence
    }

    /// Who gave up its slot computes prompt and answer again, as it would a prompt.
    pub(super) fn phase(&self) -> Phase {
        match self.due().len() {
            1 if self.has_begun() => Phase::Decode,
            remaining => Phase::Prompt { remaining },
        }
    }

    /// Whether a token of the answer has been chosen.
    pub(super) fn has_begun(&self) -> bool {
        self.answered() > 0
    }

    /// The tokens that the cache does not hold yet.
    pub(super) fn due(&self) -> &[u32] {
        &self.tokens[self.computed..]
    }

    /// Others have computed its prompt up to here.
    pub(super) fn adopt(&mut self, computed: usize) {
        let adopted = computed.saturating_sub(self.computed);
        self.computed = computed;
        self.billed = self.billed.max(computed);
        if adopted > 0 && !self.has_begun() {
            self.cached += adopted;
            self.tell_progress();
        }
    }

    /// The next of its tokens are in the cache. What this costs its client: what is computed
    /// again for one that gave its slot up costs nothing.
    pub(super) fn advance(&mut self, tokens: usize) -> u64 {
        self.computed += tokens;
        let billed = self.billed;
        self.billed = billed.max(self.computed);
        let prompt = self.prompt_length.clamp(billed, self.billed);
        if !self.has_begun() {
            self.tell_progress();
        }
        (prompt - billed) as u64 * READ + (self.billed - prompt) as u64 * CHOSEN
    }

    /// What it takes to compute again what is known of it.
    pub(super) fn comeback(&self) -> u64 {
        self.billed.saturating_sub(self.computed) as u64 * READ
    }

    /// Tokens that may come next, as far as there is room for them.
    pub(super) fn guess(&mut self) -> Vec<u32> {
        let room = self.limit.saturating_sub(self.answered() + 1);
        speculation::guess(&self.tokens, self.pace.ask().min(room))
    }

    pub(super) fn tell_progress(&mut self) {
        self.emit(GenerateEvent::Prompt {
            processed_tokens: count(self.computed),
            total_tokens: count(self.prompt_length),
            cached_tokens: count(self.cached),
        });
    }

    /// Chooses the next token of the answer by its row of logits; true if it was the last.
    pub(super) fn choose(&mut self, logits: &[f32]) -> Result<bool, Fault> {
        let Some(constraint) = &mut self.constraint else {
            let sampled = self.sampler.sample(logits)?;
            return Ok(self.accept(&sampled));
        };
        let allowed = constraint.allowed()?;
        let restrict = |row: &mut [f32]| allowed.apply(row);
        let restrict = (!matches!(allowed, Allowed::All)).then_some(&restrict as Restrict<'_>);
        let sampled = self.sampler.sample_within(logits, restrict)?;
        let is_complete = constraint.accept(sampled.token)?;
        let is_last = self.accept(&sampled);
        if is_complete {
            self.output.end();
        }
        Ok(is_last || is_complete)
    }

    /// Takes the next token of the answer; true if it was the last.
    fn accept(&mut self, sampled: &Sampled) -> bool {
        self.first_token.get_or_insert_with(Instant::now);
        self.watch = None;
        self.tokens.push(sampled.token);
        for event in self.output.push(sampled) {
            self.emit(event);
        }
        self.output.stopped() || self.answered() >= self.limit
    }

    fn answered(&self) -> usize {
        self.tokens.len() - self.prompt_length
    }

    /// The last events, and whom they go to.
    pub(super) fn finish(mut self) -> (Events, VecDeque<Event>) {
        for event in self.output.finish() {
            self.emit(event);
        }
        let finish_reason: FinishReason = self.output.finish_reason();
        let usage = Usage {
            prompt_tokens: count(self.prompt_length),
            cached_tokens: count(self.cached),
            completion_tokens: count(self.answered()),
        };
        let timings = self.timings(Instant::now());
        self.emit(GenerateEvent::Done(Done {
            finish_reason,
            stop_sequence: self.output.stop_sequence().map(str::to_owned),
            usage,
            timings,
        }));
        (self.events, self.pending)
    }

    /// The end of a sequence that cannot go on.
    pub(super) fn fail(mut self, fault: Fault) -> (Events, VecDeque<Event>) {
        self.pending.push_back(Err(fault));
        (self.events, self.pending)
    }

    fn timings(&self, now: Instant) -> Timings {
        let first = self.first_token.unwrap_or(now);
        let prompt = first.saturating_duration_since(self.admitted);
        let decode = now.saturating_duration_since(first);
        Timings {
            queue: self.admitted.saturating_duration_since(self.arrived),
            load: Duration::ZERO,
            prompt,
            first_token: first.saturating_duration_since(self.arrived),
            decode,
            prompt_tokens_per_second: rate(self.prompt_length - self.cached, prompt),
            tokens_per_second: rate(self.answered().saturating_sub(1), decode),
        }
    }

    fn emit(&mut self, event: GenerateEvent) {
        if !self.pending.is_empty() {
            self.pending.push_back(Ok(event));
            return;
        }
        if let Err(TrySendError::Full(event)) = self.events.try_send(Ok(event)) {
            self.pending.push_back(event);
            self.parked_since.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked_since.is_some()
    }

    /// Wakes a parked sequence whose reader has caught up by half; how long it is parked else.
    pub(super) fn try_wake(&mut self, now: Instant) -> Option<Duration> {
        let since = self.parked_since?;
        while let Some(event) = self.pending.pop_front() {
            if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
                self.pending.push_front(event);
                break;
            }
        }
        if self.pending.is_empty() && self.events.capacity() >= self.events.max_capacity() / 2 {
            self.parked_since = None;
            return None;
        }
        Some(now.saturating_duration_since(since))
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens")]
fn rate(tokens: usize, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        tokens as f64 / time.as_secs_f64()
    }
}
