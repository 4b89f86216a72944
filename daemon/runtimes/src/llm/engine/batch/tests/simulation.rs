//! Clients of all kinds on one model that is only counted: everybody must come to an end, and
//! have a fair share meanwhile. The true engine is driven like this in `engine::tests::company`.

use std::collections::BTreeMap;

use airunner_core::generate::ClientId;
use proptest::prelude::*;

use super::super::super::turn::{CHOSEN, Claim, READ, Turns};
use super::*;

const BLOCK: usize = 4;
/// In `Priority::ALL`.
const BACKGROUND: usize = 0;
const INTERACTIVE: usize = 2;

/// Blocks as in the true pool, without sharing.
struct Simulation {
    turns: Turns,
    slots: Vec<Option<Job>>,
    waiting: Vec<Job>,
    capacity: usize,
    budget: usize,
    step: usize,
    finished: Vec<u64>,
    /// What was computed for each client: only once what is computed again.
    served: BTreeMap<ClientId, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    after: usize,
    client: u32,
    class: usize,
    prompt: usize,
    answer: usize,
    /// Its reader does not read from the first of these steps to the second.
    pause: (usize, usize),
}

#[derive(Clone, Copy)]
struct Job {
    claim: Claim,
    ask: Ask,
    /// Prompt and what has been answered.
    tokens: usize,
    computed: usize,
    billed: usize,
    /// Blocks it has.
    held: usize,
}

impl Job {
    fn phase(&self) -> Phase {
        match self.tokens - self.computed {
            1 if self.tokens > self.ask.prompt => Phase::Decode,
            remaining => Phase::Prompt { remaining },
        }
    }

    fn is_parked(&self, step: usize) -> bool {
        (self.ask.pause.0..self.ask.pause.1).contains(&step)
    }

    fn missing(&self, tokens: usize) -> usize {
        (self.computed + tokens).div_ceil(BLOCK).saturating_sub(self.held)
    }

    fn advance(&mut self, tokens: usize) -> u64 {
        self.computed += tokens;
        let new = self.billed.min(self.computed)..self.computed;
        self.billed = self.billed.max(self.computed);
        new.map(|at| if at < self.ask.prompt { READ } else { CHOSEN })
            .sum()
    }
}

impl Simulation {
    fn new(slots: usize, capacity: usize, budget: usize) -> Self {
        Self {
            turns: Turns::default(),
            slots: vec![None; slots],
            waiting: Vec::new(),
            capacity,
            budget,
            step: 0,
            finished: Vec::new(),
            served: BTreeMap::new(),
        }
    }

    fn ask(&mut self, ask: Ask) {
        let client = ClientId::program(ask.client);
        let waits = self.waits(client);
        let jobs = self.slots.iter().flatten().chain(&self.waiting);
        let there: Vec<ClientId> = jobs.map(|job| job.claim.client).collect();
        self.turns.forget(|client| there.contains(&client));
        self.waiting.push(Job {
            claim: self.turns.enter(client, Priority::ALL[ask.class], waits),
            ask,
            tokens: ask.prompt,
            computed: 0,
            billed: 0,
            held: 0,
        });
    }

    fn waits(&self, client: ClientId) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|job| job.claim.client == client && !job.is_parked(self.step))
    }

    fn available(&self) -> usize {
        let held: usize = self.slots.iter().flatten().map(|job| job.held).sum();
        self.capacity - held
    }

    fn views(&self) -> Vec<View> {
        let view = |(slot, job): (usize, &Option<Job>)| {
            let job = job.as_ref()?;
            Some(View {
                slot,
                phase: job.phase(),
                rests: job.is_parked(self.step),
                is_parked: job.is_parked(self.step),
                turn: self.turns.turn(&job.claim),
                next: job.claim.is_spent().then(|| self.turns.next_turn(&job.claim)),
            })
        };
        self.slots.iter().enumerate().filter_map(view).collect()
    }

    fn pause(&mut self, slot: usize) {
        if let Some(mut job) = self.slots[slot].take() {
            let waits = !job.is_parked(self.step) || self.waits(job.claim.client);
            self.turns.leave(&mut job.claim, waits);
            (job.computed, job.held) = (0, 0);
            self.waiting.push(job);
        }
    }

    fn admit(&mut self) {
        loop {
            let awake = self.waiting.iter().enumerate();
            let next = awake
                .filter(|(_, job)| !job.is_parked(self.step))
                .map(|(at, job)| (self.turns.turn(&job.claim), at))
                .min();
            let Some((turn, at)) = next else { break };
            let client = self.waiting[at].claim.client;
            let free = self.slots.iter().position(Option::is_none);
            if let (Some(slot), true) = (free, self.has_room(at)) {
                let mut job = self.waiting.remove(at);
                let comeback = (job.billed - job.computed) as u64 * READ;
                self.turns.begin(&mut job.claim, comeback);
                self.slots[slot] = Some(job);
                continue;
            }
            let held = self.slots.iter().flatten();
            let held = held.filter(|job| job.claim.client == client).count();
            let Some(slot) = makes_way(&self.views(), turn, held) else {
                break;
            };
            self.pause(slot);
        }
        for slot in 0..self.slots.len() {
            let Some(mut job) = self.slots[slot] else { continue };
            if job.claim.is_spent() {
                let waits = self.waits(job.claim.client);
                self.turns.renew(&mut job.claim, waits);
                self.slots[slot] = Some(job);
            }
        }
    }

    fn has_room(&self, at: usize) -> bool {
        let at_work = || self.slots.iter().flatten();
        let promised = at_work().map(|job| job.missing(job.tokens - job.computed)).sum();
        let next = &self.waiting[at];
        has_room(
            self.available(),
            promised,
            next.missing(next.tokens),
            at_work().count(),
        )
    }

    /// Tokens computed.
    fn step(&mut self) -> usize {
        self.step += 1;
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
            let Some(mut job) = self.slots[slot] else { continue };
            job.held += job.missing(tokens);
            let cost = job.advance(tokens);
            self.turns.charge(&mut job.claim, cost);
            *self.served.entry(job.claim.client).or_default() += cost;
            if job.computed == job.tokens {
                job.tokens += 1;
            }
            self.slots[slot] = Some(job);
            if job.tokens == job.ask.prompt + job.ask.answer {
                self.finished.push(job.claim.number());
                let waits = self.waits(job.claim.client);
                self.turns.leave(&mut job.claim, waits);
                self.slots[slot] = None;
            }
        }
        batch.iter().map(|&(_, tokens)| tokens).sum()
    }

    fn is_idle(&self) -> bool {
        let jobs = self.slots.iter().flatten().chain(&self.waiting);
        jobs.into_iter().all(|job| job.is_parked(self.step))
    }
}

fn asks() -> impl Strategy<Value = Ask> {
    let pause = (0..200_usize, 0..60_usize).prop_map(|(from, steps)| (from, from + steps));
    (0..6_usize, 0..4_u32, 0..3_usize, 1..60_usize, 1..30_usize, pause).prop_map(
        |(after, client, class, prompt, answer, pause)| Ask {
            after,
            client,
            class,
            prompt,
            answer,
            pause,
        },
    )
}

proptest! {
    #[test]
    fn everybody_comes_to_an_end_within_the_budget(
        asks in prop::collection::vec(asks(), 1..60),
        slots in 1..6_usize,
        budget in 1..40_usize,
        spare in 0..20_usize,
    ) {
        // The longest alone fits; nothing else is promised.
        let most = asks.iter().map(|ask| (ask.prompt + ask.answer).div_ceil(BLOCK)).max().unwrap_or(1);
        let mut simulation = Simulation::new(slots, most + spare, budget);
        let all: usize = asks.iter().map(|ask| ask.prompt + ask.answer).sum();
        let mut to_come = asks.iter().rev().collect::<Vec<_>>();
        let (mut steps, mut pause) = (0, 0);
        while simulation.finished.len() < asks.len() {
            while let Some(ask) = to_come.last().filter(|ask| ask.after <= pause) {
                pause = 0;
                simulation.ask(**ask);
                to_come.pop();
            }
            pause += 1;
            let tokens = simulation.step();
            prop_assert!(tokens <= budget.max(slots + 1), "{} of {}", tokens, budget);
            prop_assert!(tokens > 0 || simulation.is_idle(), "somebody goes on");
            steps += 1;
            prop_assert!(steps < 16 * all + 6 * asks.len() + 300, "no end in sight");
        }
        let mut finished = simulation.finished.clone();
        finished.sort_unstable();
        prop_assert_eq!(finished, (0..asks.len() as u64).collect::<Vec<_>>(), "everybody once");
        prop_assert_eq!(simulation.available(), simulation.capacity);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Two who always have requests waiting, of whatever sizes, are served alike: what was
    /// computed for one is never more than what was computed for the other, a slice for each
    /// slot that the other one holds, and what is under way.
    #[test]
    fn clients_have_equal_shares_whatever_they_ask(
        sizes in [(1..400_usize, 1..200_usize), (1..400_usize, 1..200_usize)],
        slots in 1..9_usize,
        backlog in 9..20_usize,
    ) {
        let budget = 64;
        let mut simulation = Simulation::new(slots, 10_000, budget);
        for _ in 0..3000 {
            for (client, (prompt, answer)) in (0..).zip(sizes) {
                let asked = simulation.waiting.iter().filter(|job| job.ask.client == client).count();
                for _ in asked..backlog {
                    simulation.ask(Ask { after: 0, client, class: 1, prompt, answer, pause: (0, 0) });
                }
            }
            simulation.step();
        }
        let served: Vec<u64> = simulation.served.values().copied().collect();
        let bound = (2 * slots as u64 + 2) * SLICE + budget as u64;
        prop_assert!(served.len() == 2 && served[0].abs_diff(served[1]) <= bound, "{:?}, {}", served, bound);
    }

    /// However many answers without end one client has, another one's first word comes soon.
    #[test]
    fn who_asks_once_does_not_wait_for_the_end_of_endless_answers(
        slots in 1..9_usize,
        endless in 1..20_usize,
        before in 0..2000_usize,
        prompt in 1..100_usize,
    ) {
        let mut simulation = Simulation::new(slots, 100_000, 64);
        let ask = Ask { after: 0, client: 1, class: 1, prompt: 5, answer: 100_000, pause: (0, 0) };
        (0..endless).for_each(|_| simulation.ask(ask));
        (0..before).for_each(|_| { simulation.step(); });
        simulation.ask(Ask { client: 2, prompt, answer: 5, ..ask });
        let steps = (0..).take_while(|_| { simulation.step(); simulation.finished.is_empty() }).take(10_000).count();
        prop_assert!(steps <= (SLICE / CHOSEN) as usize + prompt + 20, "{} steps", steps);
    }
}

#[test]
fn what_nobody_watches_comes_to_an_end_beside_people_who_always_ask() {
    let mut simulation = Simulation::new(2, 1000, 64);
    let ask = |client, class| Ask {
        after: 0,
        client,
        class,
        prompt: 100,
        answer: 50,
        pause: (0, 0),
    };
    simulation.ask(ask(0, BACKGROUND));
    let mut came = 1;
    while !simulation.finished.contains(&0) {
        while simulation.waiting.len() < 4 {
            // Always somebody else, who has never asked before.
            simulation.ask(ask(came, INTERACTIVE));
            came += 1;
        }
        simulation.step();
        assert!(came < 2000, "it waits for ever");
    }
    assert!(came > 64, "it waited for those who watch: {came}");
}
