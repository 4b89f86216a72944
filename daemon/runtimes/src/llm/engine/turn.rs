//! Who comes before whom: one order for admission, for prompts and for who gives way.
//!
//! Clients share a model by what is computed for them, not by how many requests they make: one
//! with eight endless answers takes turns with one that asks a single question.

use std::collections::BTreeMap;

use airunner_core::Priority;
use airunner_core::generate::ClientId;

/// What a token costs that is read with many others in one run.
pub(super) const READ: u64 = 1;
/// What a token costs that is chosen: a run gives each sequence one.
pub(super) const CHOSEN: u64 = 4;

/// What a request is given at a time: so much may be computed for it before another client's
/// request can have its place.
pub(super) const SLICE: u64 = 64 * CHOSEN;

/// Whose client had so much less is before one of the next higher class: none waits for ever.
const HEAD_START: u64 = 64 * SLICE;

/// What passes at least with a slice, as a part of it: time goes on although only new clients come.
const LEAST: u64 = 16;

/// Clients that are remembered before those are forgotten whose time has passed.
const CLIENTS: usize = 256;

/// The place of a request in the order of all, for the time being: the better one is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    due: u64,
    /// Different for every request.
    arrival: u64,
    class: u8,
}

impl Turn {
    /// Whether the other one has the better turn because of its class.
    pub(super) const fn is_outclassed_by(self, other: Self) -> bool {
        self.class > other.class && self.due > other.due
    }

    /// How much later it is than the other one.
    pub(super) const fn is_behind_by(self, other: Self) -> u64 {
        self.due.saturating_sub(other.due)
    }
}

/// What one request has of its client's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) client: ClientId,
    class: u8,
    arrival: u64,
    /// Of its slice; `None` while it waits.
    start: Option<u64>,
    /// What is left of its slice.
    left: u64,
}

impl Claim {
    /// Different for every request.
    pub(super) const fn number(&self) -> u64 {
        self.arrival
    }

    /// Whether its slice is used up.
    pub(super) const fn is_spent(&self) -> bool {
        self.start.is_some() && self.left == 0
    }
}

/// Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, SIGCOMM 1996) over slices of computation:
/// a slice of a client starts where its last one ended, but, unless it had to wait, not before
/// the time that has come. An idle time is no credit, and whoever was given much comes later.
#[derive(Debug, Default)]
pub(super) struct Turns {
    arrivals: u64,
    now: u64,
    /// Where the next slice of a client starts.
    next: BTreeMap<ClientId, u64>,
}

impl Turns {
    /// A request comes, whose client has others that `wait` or has not.
    pub(super) fn enter(&mut self, client: ClientId, priority: Priority, waits: bool) -> Claim {
        self.catch_up(client, waits);
        let class = match priority {
            Priority::Interactive => 0,
            Priority::Api => 1,
            Priority::Background => 2,
        };
        let claim = Claim {
            client,
            class,
            arrival: self.arrivals,
            start: None,
            left: 0,
        };
        self.arrivals += 1;
        claim
    }

    pub(super) fn turn(&self, claim: &Claim) -> Turn {
        let start = claim.start.unwrap_or_else(|| self.next(claim.client));
        Turn {
            due: start.saturating_add(u64::from(claim.class) * HEAD_START),
            arrival: claim.arrival,
            class: claim.class,
        }
    }

    /// The turn that one would have which has to ask for its next slice.
    pub(super) fn next_turn(&self, claim: &Claim) -> Turn {
        self.turn(&Claim {
            start: None,
            ..*claim
        })
    }

    /// It is at work, and is given a slice of at least so much.
    pub(super) fn begin(&mut self, claim: &mut Claim, least: u64) {
        let cost = least.max(SLICE);
        let start = self.next(claim.client);
        self.next.insert(claim.client, start.saturating_add(cost));
        self.now = start.max(self.now.saturating_add(cost / LEAST));
        (claim.start, claim.left) = (Some(start), cost);
    }

    /// It stays at work for another slice, since nobody else is to have its place.
    pub(super) fn renew(&mut self, claim: &mut Claim, others_wait: bool) {
        self.catch_up(claim.client, others_wait);
        self.begin(claim, SLICE);
    }

    /// So much was computed for it.
    pub(super) fn charge(&mut self, claim: &mut Claim, cost: u64) {
        let beyond = cost.saturating_sub(claim.left);
        claim.left = claim.left.saturating_sub(cost);
        if beyond > 0 {
            let next = self.next(claim.client);
            self.next.insert(claim.client, next.saturating_add(beyond));
        }
    }

    /// It is not at work any more; what it did not use is its client's again.
    pub(super) fn leave(&mut self, claim: &mut Claim, waits: bool) {
        let next = self.next(claim.client).saturating_sub(claim.left);
        self.next.insert(claim.client, next);
        (claim.start, claim.left) = (None, 0);
        self.catch_up(claim.client, waits);
    }

    /// Forgets clients whose time has passed, once there are many: who is still `there` keeps its
    /// place, however long it has waited.
    pub(super) fn forget(&mut self, is_there: impl Fn(ClientId) -> bool) {
        if self.next.len() > CLIENTS {
            let now = self.now;
            self.next.retain(|client, next| *next > now || is_there(*client));
        }
    }

    fn next(&self, client: ClientId) -> u64 {
        self.next.get(&client).copied().unwrap_or(self.now)
    }

    fn catch_up(&mut self, client: ClientId, waits: bool) {
        let now = self.now;
        let next = self.next.entry(client).or_insert(now);
        if !waits {
            *next = now.max(*next);
        }
    }
}

#[cfg(test)]
pub(super) fn turn(priority: Priority, number: u64) -> Turn {
    let mut turns = Turns::default();
    let claim = turns.enter(ClientId::program(1), priority, false);
    Turn {
        arrival: number,
        ..turns.turn(&claim)
    }
}

#[cfg(test)]
mod tests;
