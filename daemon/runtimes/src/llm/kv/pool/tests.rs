//! The pool against a model that knows what was written into every place of every block.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SLOTS: usize = 3;
const BLOCK: usize = 4;
const SALTS: [&[u8]; 2] = [b"", b"adapter"];

/// What a place of a block holds: the keys and values of its token depend on all before it.
type Content = (usize, Vec<u32>);

struct Bench {
    pool: Pool,
    capacity: usize,
    memory: HashMap<(BlockId, usize), Content>,
    /// Whole blocks that were put on the disk.
    disk: HashMap<Key, Vec<Content>>,
    /// Salt and tokens by slot.
    expected: Vec<(usize, Vec<u32>)>,
}

#[derive(Clone, Debug)]
enum Action {
    Begin {
        slot: usize,
        salt: usize,
        prompt: Vec<u32>,
    },
    Adopt {
        slot: usize,
        behind: Vec<u32>,
    },
    /// Computes tokens, of which only the first so many turn out to be right.
    Compute {
        slot: usize,
        tokens: Vec<u32>,
        right: usize,
    },
    Fork {
        from: usize,
        to: usize,
        length: usize,
    },
    Leave {
        slot: usize,
    },
    Forget {
        slot: usize,
    },
    /// What the slot holds goes to the disk, as far as it is still known.
    Keep {
        slot: usize,
    },
    Trim,
}

impl Bench {
    fn new(capacity: usize, comfortable: usize) -> Self {
        Self {
            pool: Pool::new(SLOTS, capacity, comfortable, BLOCK),
            capacity,
            memory: HashMap::new(),
            disk: HashMap::new(),
            expected: vec![(0, Vec::new()); SLOTS],
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Begin { slot, salt, prompt } => {
                self.pool.begin(*slot, SALTS[*salt]);
                self.expected[*slot] = (*salt, Vec::new());
                self.adopt(*slot, prompt);
            }
            Action::Adopt { slot, behind } => {
                let prompt = [self.expected[*slot].1.as_slice(), behind].concat();
                self.adopt(*slot, &prompt);
            }
            Action::Compute { slot, tokens, right } => self.compute(*slot, tokens, *right),
            Action::Fork { from, to, length } => {
                let missing = self.pool.available() == 0;
                match self.pool.fork(*from, *to, *length) {
                    Ok(copy) => {
                        self.copy(copy);
                        let (salt, mut tokens) = self.expected[*from].clone();
                        tokens.truncate(*length);
                        self.expected[*to] = (salt, tokens);
                    }
                    Err(Full) => assert!(missing),
                }
            }
            Action::Leave { slot } => {
                self.pool.leave(*slot);
                self.expected[*slot].1.clear();
            }
            Action::Forget { slot } => {
                self.pool.forget(*slot);
                self.expected[*slot].1.clear();
            }
            Action::Keep { slot } => {
                for key in self.pool.whole(*slot) {
                    let Some(block) = self.pool.find(key) else {
                        continue;
                    };
                    let places = (0..BLOCK).map(|place| self.memory[&(block, place)].clone());
                    self.disk.insert(key, places.collect());
                }
            }
            Action::Trim => {
                for block in self.pool.trim() {
                    self.memory.retain(|&(other, _), _| other != block);
                }
            }
        }
    }

    fn adopt(&mut self, slot: usize, prompt: &[u32]) {
        let before = self.pool.length(slot);
        while let Some(key) = self.pool.next_unknown(slot, prompt) {
            let Some(contents) = self.disk.get(&key).cloned() else {
                break;
            };
            let available = self.pool.available();
            let Ok(block) = self.pool.place(slot, prompt) else {
                assert_eq!(available, 0, "there was room");
                break;
            };
            for (place, content) in contents.into_iter().enumerate() {
                self.memory.insert((block, place), content);
            }
        }
        let copy = self.pool.adopt(slot, prompt);
        self.copy(copy);
        let length = self.pool.length(slot);
        assert!(length >= before && (length < prompt.len() || length == before));
        self.expected[slot].1 = prompt[..length].to_vec();
    }

    fn copy(&mut self, copy: Option<BlockCopy>) {
        let Some(BlockCopy { from, to }) = copy else {
            return;
        };
        for place in 0..BLOCK {
            match self.memory.get(&(from, place)).cloned() {
                Some(content) => self.memory.insert((to, place), content),
                None => self.memory.remove(&(to, place)),
            };
        }
    }

    fn compute(&mut self, slot: usize, tokens: &[u32], right: usize) {
        let available = self.pool.available();
        let missing = self.pool.missing(slot, tokens.len());
        let reserved = self.pool.reserve(slot, tokens.len());
        assert_eq!(reserved.is_ok(), missing <= available);
        if reserved.is_err() {
            assert_eq!(self.pool.available(), available, "all or none");
            return;
        }
        let (salt, mut sequence) = self.expected[slot].clone();
        for &token in tokens {
            let place = sequence.len();
            sequence.push(token);
            let block = self.pool.table(slot)[place / BLOCK];
            assert_eq!(self.pool.blocks.users(block), 1, "written by one that shares it");
            assert!(
                !self.pool.prefix.blocks().contains(&block),
                "written although it is remembered"
            );
            self.memory
                .insert((block, place % BLOCK), (salt, sequence.clone()));
        }
        let right = right.min(tokens.len());
        self.pool.commit(slot, &tokens[..right]);
        self.expected[slot].1.extend_from_slice(&tokens[..right]);
    }

    /// Every slot finds its own content; every block is counted once, by those who use it.
    fn check(&self) {
        let mut users: HashMap<BlockId, u32> = HashMap::new();
        for (slot, (salt, tokens)) in self.expected.iter().enumerate() {
            assert_eq!(self.pool.length(slot), tokens.len());
            for place in 0..tokens.len() {
                let block = self.pool.table(slot)[place / BLOCK];
                let content = self.memory.get(&(block, place % BLOCK));
                assert_eq!(content, Some(&(*salt, tokens[..=place].to_vec())), "slot {slot}");
            }
            for &block in self.pool.table(slot) {
                *users.entry(block).or_default() += 1;
            }
        }
        let idle: Vec<BlockId> = {
            let remembered = self.pool.prefix.blocks().into_iter();
            remembered.filter(|block| !users.contains_key(block)).collect()
        };
        assert_eq!(
            self.pool.available() + users.len(),
            self.capacity,
            "no block is lost"
        );
        assert!(idle.len() <= self.pool.available());
        for block in 0..self.pool.blocks.highest() as BlockId {
            let counted = self.pool.blocks.users(block);
            assert_eq!(counted, users.get(&block).copied().unwrap_or(0), "block {block}");
        }
    }
}

fn tokens(most: usize) -> impl Strategy<Value = Vec<u32>> {
    // Few tokens, so that beginnings are often the same.
    prop_oneof![
        prop::collection::vec(0_u32..2, 0..most),
        (0..most).prop_map(|length| vec![0; length]),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let slot = || 0..SLOTS;
    prop_oneof![
        4 => (slot(), 0..SALTS.len(), tokens(20))
            .prop_map(|(slot, salt, prompt)| Action::Begin { slot, salt, prompt }),
        2 => (slot(), tokens(12)).prop_map(|(slot, behind)| Action::Adopt { slot, behind }),
        8 => (slot(), tokens(9), 0..10_usize)
            .prop_map(|(slot, tokens, right)| Action::Compute { slot, tokens, right }),
        1 => (slot(), slot(), 0..20_usize).prop_map(|(from, to, length)| Action::Fork { from, to, length }),
        3 => slot().prop_map(|slot| Action::Leave { slot }),
        1 => slot().prop_map(|slot| Action::Forget { slot }),
        2 => slot().prop_map(|slot| Action::Keep { slot }),
        1 => Just(Action::Trim),
    ]
}

#[test]
fn a_beginning_that_is_in_use_needs_no_blocks() {
    let mut pool = Pool::new(SLOTS, 8, 8, BLOCK);
    let prompt: Vec<u32> = (0..9).collect();
    assert_eq!(pool.in_use(&prompt), 0);
    pool.begin(0, b"");
    pool.reserve(0, 8).unwrap();
    pool.commit(0, &prompt[..8]);
    assert_eq!(pool.in_use(&prompt), 2);
    assert_eq!(pool.in_use(&prompt[..8]), 1, "the last token is always computed");
    assert_eq!(pool.in_use(&[0, 1, 2, 3, 9, 9, 9, 9, 9]), 1);
    pool.leave(0);
    assert_eq!(pool.in_use(&prompt), 0, "what nobody uses is counted as free");
}

proptest! {
    #[test]
    fn blocks_are_never_lost_nor_shared_wrongly(
        capacity in 1_usize..14,
        comfortable in 0_usize..14,
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let mut bench = Bench::new(capacity, comfortable);
        for action in &actions {
            bench.act(action);
            bench.check();
        }
        (0..SLOTS).for_each(|slot| bench.act(&Action::Leave { slot }));
        bench.check();
        prop_assert!(bench.pool.is_unused());
        let freed = bench.pool.trim();
        prop_assert_eq!(freed.len(), bench.pool.blocks.highest(), "everything can be given back");
        prop_assert_eq!(bench.pool.prefix.blocks().len(), 0);
    }
}

fn bench_of(sequences: &[&[u32]]) -> Bench {
    let mut bench = Bench::new(20, 20);
    for (slot, &tokens) in sequences.iter().enumerate() {
        let (salt, prompt) = (0, Vec::new());
        bench.act(&Action::Begin { slot, salt, prompt });
        bench.compute(slot, tokens, tokens.len());
    }
    bench
}

/// What a new sequence in slot 2 need not compute, and whether a block is copied for it.
fn reused(bench: &mut Bench, prompt: &[u32]) -> (usize, bool) {
    bench.pool.begin(2, b"");
    let copy = bench.pool.adopt(2, prompt);
    (bench.pool.length(2), copy.is_some())
}

#[test]
fn what_a_prompt_need_not_compute() {
    let held: Vec<u32> = (0..10).collect();
    let with = |tail: &[u32]| [&held, tail].concat();
    type Reuse = (usize, bool);
    let cases: Vec<(&str, Vec<u32>, Reuse, Reuse)> = vec![
        ("the next turn", with(&[50, 51]), (10, true), (10, false)),
        ("the same again: one is left", held.clone(), (9, true), (9, true)),
        ("whole blocks only", held[..9].to_vec(), (8, false), (8, false)),
        (
            "another end",
            [&held[..9], &[70, 71]].concat(),
            (9, true),
            (9, true),
        ),
        (
            "a part of a whole block",
            [&held[..6], &[70]].concat(),
            (6, true),
            (6, true),
        ),
        ("nothing in common", vec![90, 91], (0, false), (0, false)),
        ("nothing", vec![], (0, false), (0, false)),
    ];
    for (name, prompt, at_work, left) in cases {
        let mut bench = bench_of(&[&held]);
        assert_eq!(reused(&mut bench, &prompt), at_work, "{name}, of one at work");
        let mut bench = bench_of(&[&held]);
        bench.act(&Action::Leave { slot: 0 });
        assert_eq!(reused(&mut bench, &prompt), left, "{name}, of one that left");
    }
}

#[test]
fn one_that_lags_behind_takes_over_what_another_has_computed() {
    let prompt: Vec<u32> = (0..20).collect();
    let mut bench = bench_of(&[&prompt[..6], &prompt[..14]]);
    bench.act(&Action::Adopt {
        slot: 0,
        behind: prompt[6..].to_vec(),
    });
    bench.check();
    assert_eq!(bench.pool.length(0), 14);
    assert_eq!(bench.pool.table(0)[1..3], bench.pool.table(1)[1..3]);
    assert_eq!(
        bench.pool.available(),
        14,
        "of four blocks each, two are the same, and what they replace is free"
    );
}

#[test]
fn ends_are_given_up_before_the_beginnings_they_need() {
    let (first, second): (Vec<u32>, Vec<u32>) = ((0..12).collect(), (100..108).collect());
    let mut bench = Bench::new(5, 5);
    for tokens in [&first, &second] {
        let (slot, salt, prompt) = (0, 0, Vec::new());
        bench.act(&Action::Begin { slot, salt, prompt });
        bench.compute(0, tokens, tokens.len());
        bench.act(&Action::Leave { slot });
    }
    // Two more blocks are needed than are free: the end of what is oldest goes.
    bench.compute(1, &[7; 8], 8);
    assert_eq!(reused(&mut bench, &first), (4, false));
    bench.act(&Action::Leave { slot: 2 });
    assert_eq!(reused(&mut bench, &second), (7, true), "newer, and complete");
}

#[test]
fn what_nobody_uses_takes_no_more_memory_than_is_comfortable() {
    let mut bench = Bench::new(20, 3);
    for first in [10, 20, 30, 40] {
        let (slot, salt, prompt) = (0, 0, Vec::new());
        bench.act(&Action::Begin { slot, salt, prompt });
        bench.compute(0, &[first; 8], 8);
        bench.act(&Action::Leave { slot });
    }
    assert_eq!(bench.pool.blocks.highest(), 3);
    bench.compute(1, &[9; 20], 20);
    assert_eq!(bench.pool.blocks.highest(), 5, "what is in use does");
}

#[test]
fn what_a_faulty_sequence_left_serves_nobody() {
    let held: Vec<u32> = (0..10).collect();
    let mut bench = bench_of(&[&held]);
    bench.act(&Action::Forget { slot: 0 });
    assert_eq!(reused(&mut bench, &held), (0, false));
    assert_eq!(bench.pool.available(), 20);
}

#[test]
fn what_was_given_up_comes_back_from_the_disk() {
    let held: Vec<u32> = (0..10).collect();
    let mut bench = bench_of(&[&held]);
    bench.act(&Action::Keep { slot: 0 });
    bench.act(&Action::Leave { slot: 0 });
    bench.act(&Action::Trim);
    bench.act(&Action::Begin {
        slot: 1,
        salt: 0,
        prompt: held.clone(),
    });
    bench.check();
    assert_eq!(bench.pool.length(1), 8, "whole blocks");
    bench.act(&Action::Begin {
        slot: 2,
        salt: 1,
        prompt: held,
    });
    assert_eq!(bench.pool.length(2), 0, "of another salt");
}

#[test]
fn an_empty_slot_that_lacks_blocks_says_so() {
    let mut bench = bench_of(&[&[1; 70]]);
    assert_eq!((bench.pool.missing(1, 9), bench.pool.available()), (3, 2));
    assert_eq!(bench.pool.reserve(1, 9), Err(Full));
    assert_eq!(bench.pool.reserve(1, 8), Ok(()));
    assert_eq!(bench.pool.missing(1, 8), 0, "reserved places are counted once");
}
