//! How long a decision takes.

use std::time::{Duration, Instant};

use airunner_core::generate::ClientId;
use airunner_core::lifecycle::RequestId;
use airunner_core::residency::{Demand, Place, Policy, Residency, Wishes};
use airunner_core::{Moment, Priority};

use crate::simulator::{GIB, cpu, facts, name};

const MODELS: usize = 1_000;
const ROUNDS: usize = 2_000;
/// Of so many tries the quickest counts: a machine that is not left alone takes the processor
/// away for milliseconds.
const TRIES: usize = 3;
const BAR: Duration = Duration::from_millis(1);

/// True if the bar is met.
pub(crate) fn measure() -> bool {
    println!("\nOne decision with {MODELS} registered models, each request for another model.\n");
    println!("| in memory | waiting | p50 | p99 | longest |");
    println!("|---|---|---|---|---|");
    let mut met = true;
    for resident in [4, 8, 16] {
        for queue in [1, 64, 512] {
            for busy in [true, false] {
                met &= row(resident, queue, busy);
            }
        }
    }
    met
}

fn row(resident: usize, queue: usize, busy: bool) -> bool {
    let (residency, now) = prepare(resident, queue, busy);
    let quickest = |_| {
        let tries = (0..TRIES).map(|_| time(&residency, now));
        tries.min().unwrap_or_default()
    };
    let mut times: Vec<Duration> = (0..ROUNDS).map(quickest).collect();
    times.sort_unstable();
    let state = if busy { "in use" } else { "idle" };
    let p99 = times[ROUNDS * 99 / 100];
    println!(
        "| {resident}, {state} | {queue} | {} µs | {} µs | {} µs |",
        times[ROUNDS / 2].as_micros(),
        p99.as_micros(),
        times[ROUNDS - 1].as_micros()
    );
    p99 <= BAR
}

fn time(residency: &Residency, now: Moment) -> Duration {
    let mut residency = residency.clone();
    let start = Instant::now();
    let decisions = residency.decide(now);
    let took = start.elapsed();
    assert!(!decisions.is_empty(), "somebody waits");
    took
}

/// Memory full of models, and a queue for others.
fn prepare(resident: usize, queue: usize, busy: bool) -> (Residency, Moment) {
    let mut residency = Residency::new(Policy {
        queue_length: 512,
        fair_after: Duration::from_secs(30),
        capacity: 8,
        context_length: 4096,
    });
    residency.set_device(cpu(u64::try_from(resident).unwrap_or(0) * GIB));
    for model in 0..MODELS {
        residency.add(name(model), 0);
        residency.facts(&name(model), Ok(facts(GIB, Duration::from_secs(2))));
    }
    for model in 0..resident {
        ask(&mut residency, model, Moment::default());
        residency.decide(Moment::default());
        let place = if busy {
            Place::Busy {
                active: 1,
                leaving: false,
            }
        } else {
            Place::Idle
        };
        residency.observe(&name(model), place, Moment::default());
    }
    let start = Moment::since_start(Duration::from_secs(10));
    for model in 0..queue {
        ask(&mut residency, resident + model % (MODELS - resident), start);
    }
    (residency, start.plus(Duration::from_secs(10)))
}

fn ask(residency: &mut Residency, model: usize, now: Moment) {
    let request = RequestId(u64::try_from(model).unwrap_or(u64::MAX));
    let demand = Demand {
        request,
        model: name(model),
        client: ClientId::default(),
        priority: Priority::Api,
        arrived: now,
        deadline: None,
        wishes: Wishes::default(),
        may_evict: true,
        start: 0,
    };
    residency.ask(demand).expect("the queue is long enough");
}
