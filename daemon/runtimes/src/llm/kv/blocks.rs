//! Which blocks of a paged store are free, in use, or idle: counts only, no memory.
//!
//! A block in use has one user per sequence that reads it. When the last one leaves, a block
//! that the prefix index remembers becomes idle: its content can serve again until somebody
//! needs the room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// The number of a block; the store puts its content at a place that follows from it.
pub(crate) type BlockId = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Used {
        users: u32,
        remembered: bool,
    },
    /// Nobody uses it, yet the index remembers it.
    Idle {
        since: u64,
    },
}

impl State {
    const NEW: Self = Self::Used {
        users: 1,
        remembered: false,
    };
}

#[derive(Debug)]
pub(super) struct Blocks {
    capacity: usize,
    /// So many are touched before idle ones are given up; at most the capacity.
    comfortable: usize,
    /// By id, for those that were ever taken.
    states: Vec<State>,
    /// The lowest first: what was never taken has no memory behind it yet.
    free: BinaryHeap<Reverse<BlockId>>,
    /// By when they became idle.
    idle: BTreeMap<u64, BlockId>,
    clock: u64,
}

impl Blocks {
    pub(super) fn new(capacity: usize, comfortable: usize) -> Self {
        Self {
            capacity,
            comfortable: comfortable.min(capacity),
            states: Vec::new(),
            free: BinaryHeap::new(),
            idle: BTreeMap::new(),
            clock: 0,
        }
    }

    /// Blocks that can be had: free ones, and idle ones for whoever gives up their content.
    pub(super) fn available(&self) -> usize {
        self.untouched() + self.free.len() + self.idle.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    #[cfg(test)]
    pub(super) fn highest(&self) -> usize {
        self.states.len()
    }

    fn untouched(&self) -> usize {
        self.capacity - self.states.len()
    }

    /// A free block, which has one user then. None where it would take more memory than there is
    /// as long as nobody needs more.
    pub(super) fn take(&mut self) -> Option<BlockId> {
        if let Some(Reverse(block)) = self.free.pop() {
            self.states[block as usize] = State::NEW;
            return Some(block);
        }
        self.take_untouched(self.comfortable)
    }

    /// A block beyond that.
    pub(super) fn take_more(&mut self) -> Option<BlockId> {
        self.take_untouched(self.capacity)
    }

    fn take_untouched(&mut self, limit: usize) -> Option<BlockId> {
        if self.states.len() >= limit {
            return None;
        }
        let block = BlockId::try_from(self.states.len()).ok()?;
        self.states.push(State::NEW);
        Some(block)
    }

    /// One more user of a block whose content is of use.
    pub(super) fn share(&mut self, block: BlockId) {
        let state = &mut self.states[block as usize];
        *state = match *state {
            State::Free => panic!("block {block} has no content to share"),
            State::Used { users, remembered } => State::Used {
                users: users + 1,
                remembered,
            },
            State::Idle { since } => {
                self.idle.remove(&since);
                State::Used {
                    users: 1,
                    remembered: true,
                }
            }
        };
    }

    /// One user less.
    pub(super) fn release(&mut self, block: BlockId) {
        self.clock += 1;
        let state = &mut self.states[block as usize];
        *state = match *state {
            State::Free | State::Idle { .. } => panic!("block {block} is released by nobody who uses it"),
            State::Used { users, remembered } if users > 1 => State::Used {
                users: users - 1,
                remembered,
            },
            State::Used { remembered: true, .. } => {
                self.idle.insert(self.clock, block);
                State::Idle { since: self.clock }
            }
            State::Used { .. } => {
                self.free.push(Reverse(block));
                State::Free
            }
        };
    }

    /// The index knows the block from here on.
    pub(super) fn remember(&mut self, block: BlockId) {
        if let State::Used { remembered, .. } = &mut self.states[block as usize] {
            *remembered = true;
        }
    }

    /// The index knows the block no more.
    pub(super) fn forget(&mut self, block: BlockId) {
        match &mut self.states[block as usize] {
            State::Free => {}
            State::Used { remembered, .. } => *remembered = false,
            State::Idle { since } => {
                self.idle.remove(since);
                self.states[block as usize] = State::Free;
                self.free.push(Reverse(block));
            }
        }
    }

    pub(super) fn users(&self, block: BlockId) -> u32 {
        match self.states[block as usize] {
            State::Free | State::Idle { .. } => 0,
            State::Used { users, .. } => users,
        }
    }

    /// What has been idle for longest.
    pub(super) fn oldest_idle(&self) -> Option<BlockId> {
        self.idle.first_key_value().map(|(_, &block)| block)
    }

    /// Those that were taken once and are free again.
    pub(super) fn freed(&self) -> Vec<BlockId> {
        self.free.iter().map(|&Reverse(block)| block).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_block_is_taken_first() {
        let mut blocks = Blocks::new(3, 3);
        assert_eq!([blocks.take(), blocks.take()], [Some(0), Some(1)]);
        blocks.release(1);
        blocks.release(0);
        assert_eq!(
            [blocks.take(), blocks.take(), blocks.take(), blocks.take()],
            [Some(0), Some(1), Some(2), None]
        );
    }

    #[test]
    fn a_remembered_block_is_idle_until_it_is_forgotten_or_shared() {
        let mut blocks = Blocks::new(2, 2);
        let (first, second) = (blocks.take().unwrap(), blocks.take().unwrap());
        blocks.remember(first);
        blocks.remember(second);
        blocks.release(second);
        blocks.release(first);
        assert_eq!((blocks.available(), blocks.oldest_idle()), (2, Some(second)));
        assert_eq!(blocks.take(), None, "the content is given up by the index only");
        blocks.share(second);
        assert_eq!((blocks.users(second), blocks.oldest_idle()), (1, Some(first)));
        blocks.forget(first);
        blocks.release(second);
        assert_eq!((blocks.take(), blocks.oldest_idle()), (Some(first), Some(second)));
    }

    #[test]
    fn memory_is_touched_when_there_is_nothing_else() {
        let mut blocks = Blocks::new(3, 1);
        assert_eq!((blocks.take(), blocks.take()), (Some(0), None));
        assert_eq!(blocks.available(), 2);
        assert_eq!(
            [blocks.take_more(), blocks.take_more(), blocks.take_more()],
            [Some(1), Some(2), None]
        );
        blocks.release(1);
        assert_eq!(blocks.take(), Some(1), "touched already");
    }

    #[test]
    #[should_panic(expected = "released by nobody")]
    fn a_block_is_not_released_twice() {
        let mut blocks = Blocks::new(1, 1);
        let block = blocks.take().unwrap();
        blocks.release(block);
        blocks.release(block);
    }
}
