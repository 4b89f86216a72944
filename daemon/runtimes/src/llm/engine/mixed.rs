//! Steps in which everything runs together: admission where there is room, one batch, guesses.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::Command;
use super::batch::{Batch, batch, gives_way, has_room, waits_for};
use super::schedule::Phase;
use super::sequence::Sequence;
use super::worker::{Chance, Slot, Worker};
use crate::llm::ComputeError;
use crate::llm::kv::{Piece, Wanted};
use crate::llm::tensor::Logits;

/// How often whoever writes to the disk is given more while nothing else happens.
const SPILL_POLL: Duration = Duration::from_millis(5);

/// What one slot computes in a step.
struct Share {
    slot: usize,
    tokens: Vec<u32>,
    /// So many of them, the last ones, are guesses.
    guesses: usize,
    wanted: Wanted,
}

impl Worker {
    /// Whether there was a slot for it and room.
    pub(super) fn admit_where_there_is_room(&mut self, at: usize) -> bool {
        let Some(slot) = self.slots.iter().position(|slot| matches!(slot, Slot::Free)) else {
            return false;
        };
        if !self.has_room(at) {
            return false;
        }
        let (Some(waiting), Some(store)) = (self.waiting.remove(at), self.cache.mixed()) else {
            return false;
        };
        let held = store.begin(slot, waiting.tokens());
        self.begin(waiting, slot, held);
        true
    }

    /// Whether it fits beside those at work.
    fn has_room(&mut self, at: usize) -> bool {
        let needs: Vec<(usize, usize)> = self
            .active()
            .map(|(slot, sequence)| (slot, sequence.due().len()))
            .collect();
        let Some(store) = self.cache.mixed() else {
            return false;
        };
        let promised = needs.iter().map(|&(slot, due)| store.missing(slot, due)).sum();
        let prompt = self.waiting[at].tokens();
        has_room(store.available(), promised, store.needed(prompt), needs.len())
    }

    /// Whether somebody before it in turn is computing what it needs too.
    pub(super) fn waits(&self, sequence: &Sequence) -> bool {
        let turn = |sequence: &Sequence| self.turns.turn(&sequence.claim);
        let is_prompt = |sequence: &Sequence| matches!(sequence.phase(), Phase::Prompt { .. });
        let is_ahead = |other: &Sequence| {
            let common = || {
                let pairs = other.tokens.iter().zip(&sequence.tokens);
                pairs.take_while(|(left, right)| left == right).count()
            };
            turn(other) < turn(sequence)
                && !other.is_parked()
                && is_prompt(other)
                && waits_for(sequence.computed, other.computed, common())
        };
        is_prompt(sequence) && self.active().any(|(_, other)| is_ahead(other))
    }

    pub(super) fn step_together(&mut self) {
        self.adopt();
        let batch = self.batch();
        let decodes = batch.len();
        let is_decoding = batch.iter().all(|&(slot, _)| {
            let phase = self.sequence(slot).map(|sequence| sequence.phase());
            phase == Some(Phase::Decode)
        });
        if batch.is_empty() {
            return;
        }
        if !is_decoding {
            self.compute(self.shares(&batch));
            return;
        }
        let is_worth_it = self.trial.of(decodes).is_some_and(|worth| worth.ask());
        let mut shares = self.shares(&batch);
        let is_guessed = is_worth_it && self.guess(&mut shares);
        let began = Instant::now();
        if let (Some(tokens), Some(worth)) = (self.compute(shares), self.trial.of(decodes)) {
            worth.learn(is_guessed, tokens, began.elapsed());
        }
    }

    /// Prompts go on where others have come to by now.
    fn adopt(&mut self) {
        for view in self.views() {
            let Slot::Active(sequence) = &mut self.slots[view.slot] else {
                continue;
            };
            let is_prompt = matches!(view.phase, Phase::Prompt { .. });
            let (true, Some(store)) = (is_prompt && !view.rests, self.cache.mixed()) else {
                continue;
            };
            match store.adopt(view.slot, &sequence.tokens) {
                Ok(computed) => sequence.adopt(computed),
                Err(error) => self.fail_some(&[view.slot], error),
            }
        }
    }

    /// What to compute; whoever comes last gives way until there is room for it.
    fn batch(&mut self) -> Batch {
        loop {
            let views = self.views();
            let batch = batch(&views, self.prompt_chunk);
            let Some(store) = self.cache.mixed() else {
                return batch;
            };
            let missing = |&(slot, tokens): &(usize, usize)| store.missing(slot, tokens);
            if batch.iter().map(missing).sum::<usize>() <= store.available() {
                return batch;
            }
            let Some(slot) = gives_way(&views) else {
                return batch;
            };
            self.pause(slot);
        }
    }

    fn shares(&self, batch: &Batch) -> Vec<Share> {
        let share = |&(slot, count): &(usize, usize)| {
            let Slot::Active(sequence) = &self.slots[slot] else {
                return None;
            };
            let due = sequence.due();
            Some(Share {
                slot,
                tokens: due[..count].to_vec(),
                guesses: 0,
                wanted: if count == due.len() {
                    Wanted::Last
                } else {
                    Wanted::Nothing
                },
            })
        };
        batch.iter().filter_map(share).collect()
    }

    /// Adds guesses to those who decode; whether there are any. They must not cost anybody room.
    fn guess(&mut self, shares: &mut [Share]) -> bool {
        for share in &mut *shares {
            let Some(sequence) = self.sequence(share.slot) else {
                continue;
            };
            let guesses = sequence.guess();
            if !guesses.is_empty() {
                (share.guesses, share.wanted) = (guesses.len(), Wanted::All);
                share.tokens.extend(guesses);
            }
        }
        let Some(store) = self.cache.mixed() else {
            return false;
        };
        let missing = |share: &Share| store.missing(share.slot, share.tokens.len());
        if shares.iter().map(missing).sum::<usize>() > store.available() {
            for share in &mut *shares {
                share.tokens.truncate(1);
                (share.guesses, share.wanted) = (0, Wanted::Last);
            }
        }
        shares.iter().any(|share| share.guesses > 0)
    }

    /// How many tokens of answers it gave; `None` if it failed.
    fn compute(&mut self, shares: Vec<Share>) -> Option<usize> {
        match self.run_shares(&shares) {
            Ok(logits) => Some(self.take_over(shares, &logits)),
            Err(error) => {
                let slots: Vec<usize> = shares.iter().map(|share| share.slot).collect();
                self.fail_some(&slots, error);
                None
            }
        }
    }

    fn run_shares(&mut self, shares: &[Share]) -> Result<Logits, ComputeError> {
        let alone = match shares {
            [share] => self.sequence(share.slot).map(|sequence| sequence.claim.number()),
            _ => None,
        };
        let pieces: Vec<Piece<'_>> = shares
            .iter()
            .map(|share| Piece {
                slot: share.slot,
                tokens: &share.tokens,
                wanted: share.wanted,
            })
            .collect();
        let store = self
            .cache
            .mixed()
            .ok_or_else(|| ComputeError::Interface("its sequences do not run together".to_owned()))?;
        self.interrupt.begin(alone);
        let computed = store.step(&mut self.model, &pieces);
        self.interrupt.end();
        computed
    }

    fn take_over(&mut self, shares: Vec<Share>, logits: &Logits) -> usize {
        let (mut chances, mut row) = (Vec::with_capacity(shares.len()), 0);
        for mut share in shares {
            let guessed = share.tokens.split_off(share.tokens.len() - share.guesses);
            if share.guesses == 0 {
                self.hold(share.slot, &share.tokens);
            }
            if share.wanted != Wanted::Nothing {
                let rows = 1 + guessed.len();
                chances.push(Chance {
                    slot: share.slot,
                    row,
                    guessed,
                });
                row += rows;
            }
        }
        self.choose(chances, logits)
    }

    /// The slot holds these tokens from here on.
    fn hold(&mut self, slot: usize, tokens: &[u32]) {
        if let Some(store) = self.cache.mixed() {
            store.commit(slot, tokens);
        }
        self.advance(slot, tokens.len());
    }

    /// Of what was computed on trial, as much is held as was right: every token but the newest.
    pub(super) fn confirm(&mut self, slot: usize, guesses: usize, gained: usize) {
        let Some(sequence) = self.sequence(slot) else {
            return;
        };
        sequence
            .pace
            .learn(guesses, gained.saturating_sub(1).min(guesses));
        let right = sequence.due()[..gained].to_vec();
        self.hold(slot, &right);
    }

    /// Waits for a command; what is to be put on the disk goes there meanwhile. `None` at the end.
    pub(super) fn next_command(&mut self) -> Option<Command> {
        while self.spill(true) {
            match self.commands.recv_timeout(SPILL_POLL) {
                Ok(command) => return Some(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        self.commands.recv().ok()
    }

    pub(super) fn spill(&mut self, is_idle: bool) -> bool {
        self.cache.mixed().is_some_and(|store| store.spill(is_idle))
    }
}
