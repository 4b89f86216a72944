//! Cases, and a simulation in which everybody must come to an end.

use airunner_core::Priority;
use proptest::prelude::*;

use super::*;

fn turn(arrival: u64) -> Turn {
    super::super::turn::turn(Priority::Api, arrival)
}

fn decode(slot: usize) -> View {
    View {
        slot,
        phase: Phase::Decode,
        rests: false,
        turn: turn(slot as u64),
    }
}

fn prompt(slot: usize, remaining: usize, arrival: u64) -> View {
    View {
        slot,
        phase: Phase::Prompt { remaining },
        rests: false,
        turn: turn(arrival),
    }
}

fn resting(view: View) -> View {
    View { rests: true, ..view }
}

#[test]
fn every_case() {
    let cases: Vec<(&str, Vec<View>, Batch)> = vec![
        ("nothing", vec![], vec![]),
        (
            "one prompt takes the whole budget",
            vec![prompt(0, 1000, 0)],
            vec![(0, 256)],
        ),
        ("the end of a prompt", vec![prompt(0, 10, 0)], vec![(0, 10)]),
        (
            "everyone who decodes",
            vec![decode(0), decode(2)],
            vec![(0, 1), (2, 1)],
        ),
        (
            "a smaller piece beside decodes, in the same run",
            vec![decode(0), prompt(1, 999, 1), decode(3)],
            vec![(0, 1), (3, 1), (1, 64)],
        ),
        (
            "half for the first, half for the short",
            vec![prompt(0, 900, 1), prompt(1, 700, 2), prompt(2, 60, 3)],
            vec![(0, 128), (1, 68), (2, 60)],
        ),
        (
            "of equal ones the first takes all",
            vec![prompt(0, 900, 2), prompt(1, 900, 1)],
            vec![(1, 256)],
        ),
        (
            "short prompts together, the oldest first",
            vec![prompt(0, 9, 5), prompt(1, 7, 2)],
            vec![(1, 7), (0, 9)],
        ),
        (
            "who rests gets nothing",
            vec![resting(decode(0)), decode(1), resting(prompt(2, 5, 0))],
            vec![(1, 1)],
        ),
        ("all rest", vec![resting(decode(0))], vec![]),
    ];
    for (name, sequences, expected) in cases {
        assert_eq!(batch(&sequences, 256), expected, "{name}");
    }
}

#[test]
fn the_last_in_turn_gives_way_and_the_first_never_does() {
    let background = View {
        turn: super::super::turn::turn(Priority::Background, 0),
        ..decode(2)
    };
    assert_eq!(gives_way(&[decode(0), background, decode(1)]), Some(2));
    assert_eq!(gives_way(&[prompt(0, 5, 1), decode(3)]), Some(3));
    assert_eq!(gives_way(&[decode(3)]), None);
    assert_eq!(gives_way(&[]), None);
}

#[test]
fn a_slot_is_given_up_for_a_better_turn_only() {
    let at_work = [decode(4), decode(5), decode(3)];
    assert_eq!(makes_way(&at_work, turn(9)), None);
    let person = super::super::turn::turn(Priority::Interactive, 9);
    assert_eq!(makes_way(&at_work, person), Some(5), "the last in turn");
}

#[test]
fn waiting_pays_where_much_is_shared_and_still_being_computed() {
    let cases = [
        ("the same long beginning", (0, 0, 100), true),
        ("a piece of it is computed", (0, 64, 100), true),
        ("all of it is computed", (0, 100, 100), false),
        ("further than the other", (70, 64, 100), false),
        ("too little in common", (0, 0, 20), false),
        ("too little is left of it", (80, 90, 100), false),
    ];
    for (name, (computed, ahead, common), expected) in cases {
        assert_eq!(waits_for(computed, ahead, common), expected, "{name}");
    }
}

/// Blocks as in the true pool, without sharing.
struct Simulation {
    slots: Vec<Option<Job>>,
    waiting: Vec<Job>,
    capacity: usize,
    budget: usize,
    finished: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Job {
    turn: Turn,
    /// Prompt and what has been answered.
    tokens: usize,
    computed: usize,
    /// Blocks it has.
    held: usize,
    /// Tokens that are still to come.
    left: usize,
}

const BLOCK: usize = 4;

impl Job {
    fn phase(&self, prompt: usize) -> Phase {
        match self.tokens - self.computed {
            1 if self.tokens > prompt => Phase::Decode,
            remaining => Phase::Prompt { remaining },
        }
    }

    fn missing(&self, tokens: usize) -> usize {
        (self.computed + tokens).div_ceil(BLOCK).saturating_sub(self.held)
    }
}

impl Simulation {
    fn available(&self) -> usize {
        let held: usize = self.slots.iter().flatten().map(|job| job.held).sum();
        self.capacity - held
    }

    fn views(&self) -> Vec<View> {
        let view = |(slot, job): (usize, &Option<Job>)| {
            let job = job.as_ref()?;
            Some(View {
                slot,
                phase: job.phase(0),
                rests: false,
                turn: job.turn,
            })
        };
        self.slots.iter().enumerate().filter_map(view).collect()
    }

    fn pause(&mut self, slot: usize) {
        if let Some(mut job) = self.slots[slot].take() {
            (job.computed, job.held) = (0, 0);
            self.waiting.push(job);
        }
    }

    fn admit(&mut self) {
        loop {
            self.waiting.sort_by_key(|job| std::cmp::Reverse(job.turn));
            let Some(&next) = self.waiting.last() else { return };
            let free = self.slots.iter().position(Option::is_none);
            if let (Some(slot), true) = (free, self.has_room(&next)) {
                self.slots[slot] = self.waiting.pop();
            } else if let Some(slot) = makes_way(&self.views(), next.turn) {
                self.pause(slot);
            } else {
                return;
            }
        }
    }

    fn has_room(&self, next: &Job) -> bool {
        let at_work = || self.slots.iter().flatten();
        let promised = at_work().map(|job| job.missing(job.tokens - job.computed)).sum();
        let needed = next.missing(next.tokens);
        has_room(self.available(), promised, needed, at_work().count())
    }

    /// Tokens computed.
    fn step(&mut self) -> usize {
        self.admit();
        loop {
            let views = self.views();
            let batch = batch(&views, self.budget);
            let needed: usize = batch
                .iter()
                .filter_map(|&(slot, tokens)| Some(self.slots[slot]?.missing(tokens)))
                .sum();
            if needed <= self.available() {
                return self.run(&batch);
            }
            let slot = gives_way(&views).expect("one alone always fits");
            self.pause(slot);
        }
    }

    fn run(&mut self, batch: &Batch) -> usize {
        for &(slot, tokens) in batch {
            let Some(job) = &mut self.slots[slot] else {
                continue;
            };
            job.held += job.missing(tokens);
            job.computed += tokens;
            if job.computed == job.tokens {
                job.tokens += 1;
                job.left -= 1;
            }
            if job.left == 0 {
                self.finished.push(job.turn.number());
                self.slots[slot] = None;
            }
        }
        batch.iter().map(|&(_, tokens)| tokens).sum()
    }
}

fn job() -> impl Strategy<Value = (usize, usize, usize, usize)> {
    // Arrives after so many steps; class, prompt, answer.
    (0..6_usize, 0..3_usize, 1..60_usize, 1..30_usize)
}

proptest! {
    #[test]
    fn everybody_comes_to_an_end_within_the_budget(
        jobs in prop::collection::vec(job(), 1..24),
        slots in 1..6_usize,
        budget in 1..40_usize,
        spare in 0..20_usize,
    ) {
        // The longest alone fits; nothing else is promised.
        let most = jobs.iter().map(|job| (job.2 + job.3).div_ceil(BLOCK)).max().unwrap_or(1);
        let mut simulation = Simulation {
            slots: vec![None; slots],
            waiting: Vec::new(),
            capacity: most + spare,
            budget,
            finished: Vec::new(),
        };
        let all: usize = jobs.iter().map(|job| job.2 + job.3).sum();
        let mut to_come = jobs.iter().enumerate().collect::<Vec<_>>();
        to_come.reverse();
        let (mut steps, mut pause) = (0, 0);
        while simulation.finished.len() < jobs.len() {
            while let Some(&(arrival, &(after, class, prompt, answer))) = to_come.last() {
                if pause < after { break; }
                pause = 0;
                to_come.pop();
                simulation.waiting.push(Job {
                    turn: super::super::turn::turn(Priority::ALL[class], arrival as u64),
                    tokens: prompt,
                    computed: 0,
                    held: 0,
                    left: answer,
                });
            }
            pause += 1;
            let idle = simulation.waiting.is_empty() && simulation.views().is_empty();
            let first = simulation.waiting.iter().map(|job| job.turn).chain(simulation.views().iter().map(|view| view.turn)).min();
            let before = |simulation: &Simulation| simulation.slots.iter().flatten()
                .chain(&simulation.waiting)
                .find(|job| Some(job.turn) == first)
                .map(|job| (job.computed, job.tokens));
            let state = before(&simulation);
            let tokens = simulation.step();
            let decodes = slots;
            prop_assert!(tokens <= budget.max(decodes + 1), "{} of {}", tokens, budget);
            prop_assert!(idle || before(&simulation) != state, "the first in turn goes on");
            steps += 1;
            prop_assert!(steps < 8 * all + 6 * jobs.len(), "no end in sight");
        }
        let mut finished = simulation.finished.clone();
        finished.sort_unstable();
        prop_assert_eq!(finished, (0..jobs.len() as u64).collect::<Vec<_>>(), "everybody once");
        prop_assert_eq!(simulation.available(), simulation.capacity);
    }
}
