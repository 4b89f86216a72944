//! The loop of the thread that owns a model: admit, plan, run, sample, send.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use airunner_core::generate::ClientId;
use airunner_core::{ErrorKind, Fault};
use tokio::sync::mpsc::error::TrySendError;

use super::Command;
use super::batch::makes_way;
use super::courier::{Courier, Event, Events};
use super::interrupt::Interrupt;
use super::placement::{Occupant, Placement, place};
use super::sampling_pool::{Draw, Samplers};
use super::schedule::{Plan, View, plan};
use super::sequence::{Sequence, Waiting};
use super::speculation::Trial;
use super::turn::{Claim, Turn, Turns};

use crate::llm::ComputeError;
use crate::llm::kv::Cache;
use crate::llm::session::Model;
use crate::llm::tensor::Logits;

/// How often parked sequences are looked at while nothing else happens.
const PARKED_POLL: Duration = Duration::from_millis(20);

pub(super) struct Worker {
    pub(super) model: Model,
    pub(super) cache: Box<dyn Cache>,
    pub(super) slots: Vec<Slot>,
    /// In the order of their turns when they were last told their places.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) commands: Receiver<Command>,
    pub(super) courier: Arc<Courier>,
    pub(super) interrupt: Interrupt,
    pub(super) prompt_chunk: usize,
    /// A reader that does not read for so long is given up.
    pub(super) patience: Duration,
    /// Counts retirements.
    pub(super) clock: u64,
    pub(super) turns: Turns,
    pub(super) trial: Trial,
    pub(super) samplers: Samplers,
}

/// What a sequence chooses its next tokens by.
pub(super) struct Chance {
    pub(super) slot: usize,
    /// Of the logits.
    pub(super) row: usize,
    /// See [`Draw::guessed`].
    pub(super) guessed: Vec<u32>,
}

pub(super) enum Slot {
    Free,
    Idle { tokens: Vec<u32>, used: u64 },
    Active(Box<Sequence>),
}

impl Worker {
    /// Returns when nobody can send requests any more.
    pub(super) fn run(&mut self) {
        while self.receive() && !self.interrupt.is_stopping() {
            self.drop_the_gone();
            self.wake();
            self.admit();
            if self.is_mixed() {
                self.step_together();
                self.spill(false);
            } else {
                let plan = self.plan();
                self.step(&plan);
            }
        }
        self.fail_all(&Fault::new(ErrorKind::Cancelled, "the model is being unloaded"));
        if let Some(store) = self.cache.mixed() {
            store.settle();
        }
    }

    pub(super) fn is_mixed(&mut self) -> bool {
        self.cache.mixed().is_some()
    }

    /// Takes new commands, waiting for them if there is nothing else to do. False at the end.
    fn receive(&mut self) -> bool {
        let is_idle = self.waiting.is_empty() && self.active().next().is_none();
        if is_idle {
            match self.next_command() {
                Some(command) => self.obey(command),
                None => return false,
            }
        } else if self.is_stuck() {
            match self.commands.recv_timeout(PARKED_POLL) {
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Compute(request) => {
                let waits = self.waits_for_a_slot(request.client);
                let there: BTreeSet<ClientId> = self.clients().collect();
                self.turns.forget(|client| there.contains(&client));
                let claim = self.turns.enter(request.client, request.priority, waits);
                self.waiting.push_back(Waiting::New(request, claim));
            }
            Command::Trim(done) => {
                self.trim();
                // Whoever asked may have left.
                let _ = done.try_send(());
            }
        }
    }

    /// Of all requests.
    fn clients(&self) -> impl Iterator<Item = ClientId> {
        let at_work = self.active().map(|(_, sequence)| sequence.claim.client);
        at_work.chain(self.waiting.iter().map(|waiting| waiting.claim().client))
    }

    /// Whether a request of this client does.
    fn waits_for_a_slot(&self, client: ClientId) -> bool {
        self.waiting
            .iter()
            .any(|waiting| waiting.claim().client == client && !waiting.is_parked())
    }

    /// Drops what finished conversations left. While others are at work, their storage stays.
    fn trim(&mut self) {
        if let Some(store) = self.cache.mixed() {
            store.trim();
        }
        for slot in 0..self.slots.len() {
            if matches!(self.slots[slot], Slot::Idle { .. }) {
                self.forget(slot);
            }
        }
        if self.active().next().is_some() {
            return;
        }
        self.interrupt.begin(None);
        if let Err(error) = shrink(&mut self.model, &mut *self.cache) {
            tracing::warn!(%error, "ONNX Runtime did not give its memory back");
        }
        self.interrupt.end();
        self.cache.release();
    }

    /// Every reader rests.
    fn is_stuck(&self) -> bool {
        self.active().all(|(_, sequence)| sequence.is_parked()) && self.waiting.iter().all(Waiting::is_parked)
    }

    pub(super) fn active(&self) -> impl Iterator<Item = (usize, &Sequence)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match slot {
                Slot::Active(sequence) => Some((index, &**sequence)),
                Slot::Free | Slot::Idle { .. } => None,
            })
    }

    pub(super) fn sequence(&mut self, slot: usize) -> Option<&mut Sequence> {
        match &mut self.slots[slot] {
            Slot::Active(sequence) => Some(sequence),
            Slot::Free | Slot::Idle { .. } => None,
        }
    }

    /// Requests whose readers left are not worked on any more.
    fn drop_the_gone(&mut self) {
        self.waiting.retain(|waiting| !waiting.events().is_closed());
        let gone: Vec<usize> = self
            .active()
            .filter(|(_, sequence)| sequence.events.is_closed())
            .map(|(slot, _)| slot)
            .collect();
        for slot in gone {
            tracing::debug!(slot, "the reader left");
            drop(self.retire(slot));
        }
    }

    /// In the order of the turns. Who is at work gives way where `makes_way` says so.
    fn admit(&mut self) {
        while let Some((next, turn)) = self.next_waiting() {
            let is_admitted = if self.is_mixed() {
                self.admit_where_there_is_room(next)
            } else {
                self.admit_into_slot(next)
            };
            if is_admitted {
                continue;
            }
            let client = self.waiting[next].claim().client;
            let of_client = |(_, sequence): &(usize, &Sequence)| sequence.claim.client == client;
            let held = self.active().filter(of_client).count();
            let Some(slot) = makes_way(&self.views(), turn, held) else {
                break;
            };
            self.pause(slot);
        }
        self.renew();
        self.tell_positions();
    }

    /// The best turn of all whose readers keep up, and where it waits.
    fn next_waiting(&self) -> Option<(usize, Turn)> {
        let turn = |waiting: &Waiting| self.turns.turn(waiting.claim());
        let awake = self.waiting.iter().enumerate();
        awake
            .filter(|(_, waiting)| !waiting.is_parked())
            .map(|(at, waiting)| (at, turn(waiting)))
            .min_by_key(|&(_, turn)| turn)
    }

    /// The sequence gives up its slot; what it computed is found again, unless room is needed.
    pub(super) fn pause(&mut self, slot: usize) {
        // It waits from now on, and so does not lose what its client has waited for.
        let is_awake = self.sequence(slot).is_some_and(|sequence| !sequence.is_parked());
        if let Some(sequence) = self.leave(slot, is_awake) {
            tracing::debug!(slot, "a sequence gives way");
            self.waiting.push_back(Waiting::Again(Box::new(sequence)));
        }
    }

    /// Who has used up its slice and was not to give way goes on.
    fn renew(&mut self) {
        for slot in 0..self.slots.len() {
            let Some(client) = self.sequence(slot).map(|sequence| sequence.claim.client) else {
                continue;
            };
            let waits = self.waits_for_a_slot(client);
            if let Slot::Active(sequence) = &mut self.slots[slot]
                && sequence.claim.is_spent()
            {
                self.turns.renew(&mut sequence.claim, waits);
            }
        }
    }

    fn tell_positions(&mut self) {
        let turns = &self.turns;
        let by_turn = |waiting: &Waiting| (waiting.is_parked(), turns.turn(waiting.claim()));
        self.waiting.make_contiguous().sort_by_key(by_turn);
        for (position, waiting) in self.waiting.iter_mut().enumerate() {
            waiting.tell_position(position);
        }
    }

    /// Whether there was a slot.
    fn admit_into_slot(&mut self, at: usize) -> bool {
        let Some(placement) = self.placement(self.waiting[at].tokens()) else {
            return false;
        };
        let Some(waiting) = self.waiting.remove(at) else {
            return false;
        };
        let Placement {
            slot,
            reused,
            copy_from,
        } = placement;
        let prepared = match copy_from {
            Some(from) => self.cache.copy(from, slot, reused),
            None => self.cache.truncate(slot, reused),
        };
        self.begin(waiting, slot, prepared.map(|()| reused));
        true
    }

    fn placement(&self, prompt: &[u32]) -> Option<Placement> {
        let occupants: Vec<Occupant<'_>> = self
            .slots
            .iter()
            .map(|slot| match slot {
                Slot::Free => Occupant::Free,
                Slot::Idle { tokens, used } => Occupant::Idle { tokens, used: *used },
                Slot::Active(sequence) => Occupant::Active {
                    tokens: &sequence.tokens[..sequence.computed],
                },
            })
            .collect();
        place(&occupants, if self.cache.keeps() { prompt } else { &[] })
    }

    /// Puts a sequence to work in a slot that holds so many of its tokens.
    pub(super) fn begin(&mut self, waiting: Waiting, slot: usize, held: Result<usize, ComputeError>) {
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                self.forget(slot);
                let (events, last) = waiting.fail(error.into());
                return self.part(events, last);
            }
        };
        let mut sequence = waiting.admit(held);
        let comeback = sequence.comeback();
        self.turns.begin(&mut sequence.claim, comeback);
        if !sequence.has_begun() {
            let (events, turn) = (sequence.events.clone(), sequence.claim.number());
            sequence.watch = Some(self.courier.watch(events, turn, self.interrupt.clone()));
        }
        self.slots[slot] = Slot::Active(sequence);
    }

    /// Parked sequences go on once their readers have caught up, or end.
    fn wake(&mut self) {
        let (now, patience) = (Instant::now(), self.patience);
        let mut given_up = Vec::new();
        for (slot, occupant) in self.slots.iter_mut().enumerate() {
            let Slot::Active(sequence) = occupant else {
                continue;
            };
            if sequence.try_wake(now).is_some_and(|parked| parked >= patience) {
                given_up.push(slot);
            }
        }
        for slot in given_up {
            self.fail(slot, stalled(patience));
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        for mut one in waiting.drain(..) {
            if one.try_wake(now).is_some_and(|parked| parked >= patience) {
                let (events, last) = one.fail(stalled(patience));
                self.part(events, last);
            } else {
                self.waiting.push_back(one);
            }
        }
    }

    pub(super) fn views(&mut self) -> Vec<View> {
        let is_mixed = self.is_mixed();
        let next = |claim: &Claim| claim.is_spent().then(|| self.turns.next_turn(claim));
        self.active()
            .map(|(slot, sequence)| View {
                slot,
                phase: sequence.phase(),
                rests: sequence.is_parked() || (is_mixed && self.waits(sequence)),
                is_parked: sequence.is_parked(),
                turn: self.turns.turn(&sequence.claim),
                next: next(&sequence.claim),
            })
            .collect()
    }

    fn plan(&mut self) -> Plan {
        plan(&self.views(), self.prompt_chunk, self.cache.batch_limit())
    }

    /// The next tokens of the slot's sequence are in the cache.
    pub(super) fn advance(&mut self, slot: usize, tokens: usize) {
        if let Slot::Active(sequence) = &mut self.slots[slot] {
            let cost = sequence.advance(tokens);
            self.turns.charge(&mut sequence.claim, cost);
        }
    }

    fn step(&mut self, plan: &Plan) {
        for slots in &plan.decodes {
            self.decode(slots);
        }
        for &(slot, tokens) in &plan.prompts {
            self.compute_prompt(slot, tokens);
        }
    }

    fn decode(&mut self, slots: &[usize]) {
        let rows: Vec<(usize, u32)> = slots
            .iter()
            .filter_map(|&slot| Some((slot, self.sequence(slot)?.due().first().copied()?)))
            .collect();
        self.interrupt.begin(None);
        let computed = self.cache.decode(&mut self.model, &rows);
        self.interrupt.end();
        match computed {
            Ok(logits) => {
                slots.iter().for_each(|&slot| self.advance(slot, 1));
                let chance = |(row, &slot)| Chance {
                    slot,
                    row,
                    guessed: Vec::new(),
                };
                self.choose(slots.iter().enumerate().map(chance).collect(), &logits);
            }
            Err(error) => self.fail_some(slots, error),
        }
    }

    fn compute_prompt(&mut self, slot: usize, tokens: usize) {
        let Slot::Active(sequence) = &mut self.slots[slot] else {
            return;
        };
        self.interrupt.begin(Some(sequence.claim.number()));
        let computed = self
            .cache
            .extend(&mut self.model, slot, &sequence.due()[..tokens]);
        self.interrupt.end();
        match computed {
            Ok(logits) => {
                let is_read = tokens == sequence.due().len();
                self.advance(slot, tokens);
                if is_read {
                    let chance = Chance {
                        slot,
                        row: 0,
                        guessed: Vec::new(),
                    };
                    self.choose(vec![chance], &logits);
                }
            }
            Err(error) => self.fail_some(&[slot], error),
        }
    }

    /// A run failed for these. If it was interrupted for its reader, nobody hears of it.
    pub(super) fn fail_some(&mut self, slots: &[usize], error: ComputeError) {
        let fault = Fault::from(error);
        for &slot in slots {
            let closed = self
                .sequence(slot)
                .is_none_or(|sequence| sequence.events.is_closed());
            if closed {
                drop(self.retire(slot));
            } else if !self.interrupt.is_stopping() {
                tracing::warn!(slot, %fault, "a computation failed");
                self.fail(slot, fault.clone());
            }
        }
    }

    /// Chooses the next tokens by the rows of logits, and sends what they make. How many tokens
    /// that were, for all together.
    pub(super) fn choose(&mut self, mut chances: Vec<Chance>, logits: &Logits) -> usize {
        chances.retain(|chance| matches!(self.slots[chance.slot], Slot::Active(_)));
        chances.sort_unstable_by_key(|chance| chance.slot);
        let mut draws: Vec<Draw<'_>> = Vec::with_capacity(chances.len());
        let mut wanted = chances.iter().peekable();
        for (slot, occupant) in self.slots.iter_mut().enumerate() {
            let Some(chance) = wanted.next_if(|chance| chance.slot == slot) else {
                continue;
            };
            if let Slot::Active(sequence) = occupant {
                draws.push(Draw {
                    sequence,
                    row: chance.row,
                    guessed: &chance.guessed,
                });
            }
        }
        let before: Vec<usize> = draws.iter().map(|draw| draw.sequence.tokens.len()).collect();
        let threads = self.model.threads.now();
        let ends = self.samplers.sample(&mut draws, logits, threads);
        let gained = draws.iter().zip(before);
        let gained: Vec<usize> = gained
            .map(|(draw, before)| draw.sequence.tokens.len() - before)
            .collect();
        let all = gained.iter().sum();
        for ((chance, end), gained) in chances.into_iter().zip(ends).zip(gained) {
            if end.is_ok() && !chance.guessed.is_empty() {
                self.confirm(chance.slot, chance.guessed.len(), gained);
            }
            match end {
                Ok(false) => {}
                Ok(true) => self.finish(chance.slot),
                Err(fault) => self.discard(chance.slot, fault),
            }
        }
        all
    }

    fn finish(&mut self, slot: usize) {
        if let Some(sequence) = self.retire(slot) {
            let (events, last) = sequence.finish();
            self.part(events, last);
        }
    }

    fn fail(&mut self, slot: usize, fault: Fault) {
        if let Some(sequence) = self.retire(slot) {
            let (events, last) = sequence.fail(fault);
            self.part(events, last);
        }
    }

    /// What a faulty computation left must not serve as anybody's beginning.
    fn discard(&mut self, slot: usize, fault: Fault) {
        if let Some(store) = self.cache.mixed() {
            store.forget(slot);
            self.fail(slot, fault);
        } else {
            self.fail(slot, fault);
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: usize) {
        self.slots[slot] = Slot::Free;
        if let Err(error) = self.cache.truncate(slot, 0) {
            tracing::warn!(slot, %error, "a slot could not be emptied");
        }
    }

    /// Sends the last events, by the courier where the reader has no room for them.
    fn part(&self, events: Events, mut last: VecDeque<Event>) {
        while let Some(event) = last.pop_front() {
            match events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return,
                Err(TrySendError::Full(event)) => {
                    last.push_front(event);
                    return self.courier.deliver(events, last);
                }
            }
        }
    }

    /// Takes the sequence out; what it computed stays for the next with the same beginning.
    pub(super) fn retire(&mut self, slot: usize) -> Option<Sequence> {
        self.leave(slot, false)
    }

    /// The same for a sequence that waits again, or does not.
    fn leave(&mut self, slot: usize, waits: bool) -> Option<Sequence> {
        self.clock += 1;
        let used = self.clock;
        let Slot::Active(mut sequence) = std::mem::replace(&mut self.slots[slot], Slot::Free) else {
            return None;
        };
        let waits = waits || self.waits_for_a_slot(sequence.claim.client);
        self.turns.leave(&mut sequence.claim, waits);
        if let Some(store) = self.cache.mixed() {
            if !sequence.is_private {
                store.keep(slot);
            }
            store.leave(slot);
            return Some(*sequence);
        }
        let tokens = sequence.tokens[..sequence.computed].to_vec();
        self.slots[slot] = Slot::Idle { tokens, used };
        Some(*sequence)
    }

    /// Ends everything that is left.
    pub(super) fn fail_all(&mut self, fault: &Fault) {
        for slot in 0..self.slots.len() {
            self.fail(slot, fault.clone());
        }
        let waiting: Vec<_> = self.waiting.drain(..).collect();
        let later = std::iter::from_fn(|| self.commands.try_recv().ok());
        let later = later.filter_map(|command| match command {
            Command::Compute(request) => Some(request.events),
            Command::Trim(_) => None,
        });
        for events in later.collect::<Vec<_>>() {
            self.part(events, VecDeque::from([Err(fault.clone())]));
        }
        for waiting in waiting {
            let (events, last) = waiting.fail(fault.clone());
            self.part(events, last);
        }
    }
}

fn stalled(patience: Duration) -> Fault {
    let message = format!(
        "the reader of the answer did not read for {} s",
        patience.as_secs()
    );
    Fault::new(ErrorKind::ClientStalled, message)
}

/// ONNX Runtime gives its own pool back only at the end of a run that asks for it.
fn shrink(model: &mut Model, cache: &mut dyn Cache) -> Result<(), ComputeError> {
    let shrinking = Model::shrinking()?;
    let usual = std::mem::replace(&mut model.run_options, shrinking);
    let run = cache.extend(model, 0, &[0]).map(drop);
    model.run_options = usual;
    run
}
