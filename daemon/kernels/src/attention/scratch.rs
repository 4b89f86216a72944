//! Memory that is used again from call to call.

use super::LANES;
use super::plan::{PARTITION, Plan, state_numbers};
use super::tile::Piece;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Memory of [`attend`](super::attend) that lasts over calls, so that a call allocates nothing
/// once it has grown.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) plan: Plan,
    /// Sums of partitions that are computed alone.
    pub(super) partial: Vec<f32>,
    pub(super) workspaces: Vec<Mutex<Workspace>>,
}

impl Scratch {
    pub(super) fn grow(&mut self, threads: usize) {
        self.partial
            .resize(self.partial.len().max(self.plan.partial), 0.0);
        if self.workspaces.len() < threads {
            self.workspaces.resize_with(threads, Mutex::default);
        }
    }
}

/// Memory of one task at a time.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// Queries, rotated and scaled.
    pub(super) queries: Vec<f32>,
    /// Sums so far.
    pub(super) states: Vec<f32>,
    /// Scores of some rows over a partition.
    pub(super) scores: Vec<f32>,
    /// One query head.
    pub(super) head: Vec<f32>,
}

impl Workspace {
    /// With room for the rows of a task.
    pub(super) fn grown(&mut self, piece: &Piece<'_>) -> &mut Self {
        let vectors = piece.common.step.geometry.vectors();
        let states = state_numbers(piece.rows(), vectors);
        for room in [&mut self.queries, &mut self.states] {
            room.resize(room.len().max(states), 0.0);
        }
        self.scores.resize(MOST_SCORES, 0.0);
        self.head.resize(self.head.len().max(vectors * LANES), 0.0);
        self
    }
}

/// Scores of 8 rows.
const MOST_SCORES: usize = 8 * PARTITION;

/// One that nobody uses, or the next that becomes free where there are fewer than tasks.
pub(super) fn claim(workspaces: &[Mutex<Workspace>], task: usize) -> MutexGuard<'_, Workspace> {
    for workspace in workspaces {
        match workspace.try_lock() {
            Ok(workspace) => return workspace,
            Err(TryLockError::Poisoned(workspace)) => return workspace.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    workspaces[task % workspaces.len()]
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}
