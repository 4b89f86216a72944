//! Whatever happens in whatever order. The world itself checks at every step that no load is
//! set aside beyond the budget, that only idle models that are not pinned are evicted, that
//! nobody is answered twice, that the same input has the same answer, that no wake-up is in the
//! past and that the decisions come to an end.

use std::time::Duration;

use proptest::prelude::*;

use crate::error::{ErrorKind, Fault};
use crate::generate::ClientId;
use crate::hardware::Device;
use crate::lifecycle::{Event, Purpose, RequestId};
use crate::memory::{Budget, MemoryReading, Quantization};
use crate::priority::Priority;
use crate::time::Moment;

use super::world::{Ask, GIB, World, device, facts, name, policy, seconds, variant};
use super::{Policy, ReservationId, Wishes};

const BUDGET: u64 = 8;
const MODELS: usize = 6;
const ROUNDS: usize = 3_000;

#[derive(Clone, Debug)]
enum Act {
    Ask {
        model: usize,
        priority: usize,
        answer: u64,
        patience: Option<u64>,
        may_evict: bool,
        only_load: bool,
        context: Option<u32>,
        client: u32,
    },
    End(usize),
    Wait(u64),
    Pin(usize, bool),
    SetBudget(u64),
    Read(u64),
    Measured(usize, u64),
    Pressure(u64),
    Reserve(u64, u64, bool),
    Release(u64),
    Die(usize),
    Crash(usize),
    Unload(usize, bool),
    Clock(u64),
}

fn ask() -> impl Strategy<Value = Act> {
    (
        0..MODELS,
        0..3_usize,
        1..5_000_u64,
        proptest::option::weighted(0.2, 0..60_u64),
        proptest::bool::weighted(0.9),
        proptest::bool::weighted(0.1),
        proptest::option::weighted(0.1, prop_oneof![Just(1024_u32), Just(8192), Just(100_000)]),
        0..3_u32,
    )
        .prop_map(
            |(model, priority, answer, patience, may_evict, only_load, context, client)| Act::Ask {
                model,
                priority,
                answer,
                patience,
                may_evict,
                only_load,
                context,
                client,
            },
        )
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => ask(),
        4 => any::<usize>().prop_map(Act::End),
        8 => (0..5_000_u64).prop_map(Act::Wait),
        1 => (0..MODELS, any::<bool>()).prop_map(|(model, pinned)| Act::Pin(model, pinned)),
        1 => (0..12_u64).prop_map(Act::SetBudget),
        1 => any::<u64>().prop_map(Act::Read),
        1 => (0..MODELS, any::<u64>()).prop_map(|(model, bytes)| Act::Measured(model, bytes)),
        1 => any::<u64>().prop_map(Act::Pressure),
        1 => (0..3_u64, 0..9_u64, any::<bool>()).prop_map(|(id, gib, evict)| Act::Reserve(id, gib, evict)),
        1 => (0..3_u64).prop_map(Act::Release),
        1 => (0..MODELS).prop_map(Act::Die),
        1 => (0..MODELS).prop_map(Act::Crash),
        1 => (0..MODELS, any::<bool>()).prop_map(|(model, force)| Act::Unload(model, force)),
        1 => (0..100_000_u64).prop_map(Act::Clock),
    ]
}

fn model(index: usize) -> String {
    format!("m{index}")
}

fn world(sizes: &[u64], capacity: usize) -> World {
    let policy = Policy { capacity, ..policy() };
    let cpu = device(Device::Cpu, 64 * GIB, Budget::Bytes(BUDGET * GIB));
    let mut world = World::with(policy, vec![cpu]);
    for (index, size) in sizes.iter().enumerate() {
        let variants = vec![variant(Quantization::Int4, size * GIB)];
        let load = seconds(0.5 * (1 + index) as f64);
        world = world.package(&model(index), facts(variants, load));
    }
    world
}

fn asked(act: &Act) -> Option<(usize, Ask)> {
    let Act::Ask {
        model,
        priority,
        answer,
        patience,
        may_evict,
        only_load,
        context,
        client,
    } = act
    else {
        return None;
    };
    let ask = Ask {
        priority: Priority::ALL[*priority],
        patience: patience.map(Duration::from_secs),
        wishes: Wishes {
            level: None,
            context_length: *context,
        },
        may_evict: *may_evict,
        client: ClientId::program(*client),
        purpose: if *only_load { Purpose::Load } else { Purpose::Use },
        answer: Some(Duration::from_millis(*answer)),
    };
    Some((*model, ask))
}

fn full() -> MemoryReading {
    MemoryReading {
        total_bytes: 64 * GIB,
        available_bytes: 64 * GIB,
        own_bytes: 0,
    }
}

fn does(world: &mut World, act: &Act) {
    match act {
        Act::Ask { .. } => {
            if let Some((index, ask)) = asked(act) {
                world.asks(&model(index), ask);
            }
        }
        Act::End(index) => {
            let granted: Vec<RequestId> = world.granted.keys().copied().collect();
            if let Some(request) = granted.get(index % granted.len().max(1)) {
                world.ends(request.0);
            }
        }
        Act::Wait(milliseconds) => world.until(world.now.plus(Duration::from_millis(*milliseconds))),
        Act::Pin(index, pinned) => world.residency.pin(&name(&model(*index)), *pinned),
        Act::SetBudget(gib) => world.residency.set_budget(Device::Cpu, Budget::Bytes(gib * GIB)),
        Act::Read(available_bytes) => {
            let reading = MemoryReading {
                available_bytes: *available_bytes % (80 * GIB),
                ..full()
            };
            world.residency.read(Device::Cpu, reading);
        }
        Act::Measured(index, bytes) => world.residency.measured(&name(&model(*index)), bytes % (9 * GIB)),
        Act::Pressure(shortage) => {
            for decision in world.residency.pressure(Device::Cpu, *shortage) {
                world.perform(decision);
            }
        }
        Act::Reserve(id, gib, evict) => {
            let now = world.now;
            let outcome = world
                .residency
                .reserve(ReservationId(*id), Device::Cpu, gib * GIB, *evict, now);
            for decision in outcome.unwrap_or_default() {
                world.perform(decision);
            }
        }
        Act::Release(id) => world.residency.release(ReservationId(*id)),
        Act::Die(index) => {
            world.dies.insert(name(&model(*index)), 2);
        }
        Act::Crash(index) => {
            let model = name(&model(*index));
            if let Some(attempt) = world.machines[&model].state().attempt() {
                let fault = Fault::new(ErrorKind::WorkerCrashed, "it died");
                world.step(&model, Event::WorkerExited { attempt, fault });
            }
        }
        Act::Unload(index, force) => world.step(&name(&model(*index)), Event::Unload { force: *force }),
        Act::Clock(seconds) => world.until(world.now.plus(Duration::from_secs(*seconds))),
    }
    world.settle();
}

fn adds_up(world: &World) -> Result<(), TestCaseError> {
    for parts in world.residency.breakdown() {
        let ours = parts.models_bytes + parts.canvas_history_bytes;
        if ours + parts.external_apps_bytes <= parts.total_bytes {
            let rest = parts.system_reserve_bytes + parts.free_bytes;
            prop_assert_eq!(ours + parts.external_apps_bytes + rest, parts.total_bytes);
        } else {
            prop_assert_eq!(parts.free_bytes, 0);
        }
        let held: u64 = world
            .machines
            .keys()
            .map(|name| world.residency.reserved(name))
            .sum();
        prop_assert_eq!(parts.models_bytes, held);
    }
    for (model, machine) in &world.machines {
        let holds = world.residency.holding(model).is_some();
        prop_assert_eq!(
            holds,
            machine.state().attempt().is_some(),
            "{} holds memory and has no worker, or the other way round",
            model
        );
    }
    Ok(())
}

/// Lets all answers come to their end.
fn ends(world: &mut World) {
    for _ in 0..ROUNDS {
        if world.open() == 0 && world.granted.is_empty() {
            return;
        }
        let next = world.next().unwrap_or_else(|| world.now.plus(seconds(1.0)));
        // What observes the breaker is a request or a tick, as in the daemon.
        let models: Vec<_> = world.machines.keys().cloned().collect();
        for model in models {
            world.observe(&model);
        }
        world.until(next.max(world.now));
    }
}

proptest! {
    #[test]
    fn every_request_that_fits_is_served(
        sizes in proptest::collection::vec(1..=BUDGET, MODELS),
        capacity in 1..4_usize,
        acts in proptest::collection::vec((0..MODELS, 0..3_usize, 1..5_000_u64, 0..3_000_u64), 1..60),
    ) {
        let mut world = world(&sizes, capacity);
        for (index, class, answer, pause) in &acts {
            let ask = Ask {
                priority: Priority::ALL[*class],
                answer: Some(Duration::from_millis(*answer)),
                ..Ask::default()
            };
            world.asks(&model(*index), ask);
            world.until(world.now.plus(Duration::from_millis(*pause)));
        }
        ends(&mut world);
        prop_assert_eq!(world.refused.len(), 0);
        prop_assert_eq!(world.served.len(), acts.len(), "{:#?}", world.text);
        // One after the other, each with a load of its own.
        let load = Duration::from_millis(500) * u32::try_from(MODELS).unwrap();
        let each = load + Duration::from_millis(5_000 + 100);
        let most = Duration::from_secs(30) + each * u32::try_from(acts.len() + 1).unwrap();
        for waited in world.waited.values() {
            prop_assert!(*waited <= most, "{:?}", waited);
        }
    }

    #[test]
    fn whatever_happens_everybody_has_one_answer_and_the_figures_add_up(
        sizes in proptest::collection::vec(1..=BUDGET + 2, MODELS),
        capacity in 1..4_usize,
        acts in proptest::collection::vec(act(), 1..80),
    ) {
        let mut world = world(&sizes, capacity);
        let mut asked = 0;
        for act in &acts {
            asked += usize::from(matches!(act, Act::Ask { .. }));
            does(&mut world, act);
            adds_up(&world)?;
        }
        for index in 0..MODELS {
            world.residency.pin(&name(&model(index)), false);
        }
        for id in 0..3 {
            world.residency.release(ReservationId(id));
        }
        world.residency.read(Device::Cpu, full());
        world.residency.set_budget(Device::Cpu, Budget::Bytes(4 * BUDGET * GIB));
        world.settle();
        ends(&mut world);
        prop_assert_eq!(world.open(), 0, "{:#?}", world.text);
        prop_assert_eq!(world.served.len() + world.refused.len(), asked);
    }

    #[test]
    fn no_more_goes_for_a_load_than_it_needs(
        sizes in proptest::collection::vec(1..=3_u64, MODELS - 1), wanted in 1..=BUDGET,
    ) {
        let mut sizes = sizes;
        sizes.push(wanted);
        let mut world = world(&sizes, 4);
        for index in 0..MODELS - 1 {
            world.chats(&model(index), 0.1);
            world.until(world.now.plus(seconds(20.0)));
        }
        let there = world.loaded();
        let free = world.residency.free(Device::Cpu);
        world.chats(&model(MODELS - 1), 0.1);
        let stays = world.loaded();
        let gone: Vec<u64> = there
            .iter()
            .filter(|model| !stays.contains(model))
            .map(|model| world.residency.reserved(&name(model)))
            .collect();
        let freed: u64 = gone.iter().sum();
        prop_assert!(free + freed >= wanted * GIB);
        for bytes in gone {
            prop_assert!(free + freed - bytes < wanted * GIB, "{} could have stayed", bytes);
        }
    }

    #[test]
    fn no_figure_is_too_large(
        sizes in proptest::collection::vec(any::<u64>(), 3),
        totals in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 1..6),
        moments in proptest::collection::vec(any::<u64>(), 1..6),
        load in any::<u64>(),
    ) {
        let mut world = World::new(BUDGET);
        for (index, size) in sizes.iter().enumerate() {
            let mut huge = variant(Quantization::Int4, *size);
            huge.cache_bytes_per_token = size.rotate_left(7);
            let mut facts = facts(vec![huge], Duration::from_millis(load % 10_000));
            facts.factor_percent = load;
            world = world.package(&model(index), facts);
        }
        for ((total, available, own, reserve), moment) in totals.iter().zip(moments.iter().cycle()) {
            world.now = world.now.max(Moment::since_start(Duration::from_millis(*moment)));
            let reading = MemoryReading { total_bytes: *total, available_bytes: *available, own_bytes: *own };
            world.residency.read(Device::Cpu, reading);
            world.residency.set_budget(Device::Cpu, Budget::Bytes(*available));
            for index in 0..3 {
                world.wants(&model(index));
                world.residency.measured(&name(&model(index)), *reserve);
                world.residency.loaded_in(&name(&model(index)), Duration::MAX);
                world.residency.answered_in(&name(&model(index)), Duration::MAX);
            }
            let now = world.now;
            let _ = world.residency.reserve(ReservationId(*own), Device::Cpu, *reserve, false, now);
            prop_assert!(world.residency.waiting(world.now).len() <= 512);
            world.settle();
        }
    }

    /// Nobody is refused for want of a place while another client has more of them.
    #[test]
    fn places_in_the_queue_go_to_who_has_fewer(
        length in 1..12_usize,
        asks in proptest::collection::vec((0..4_u32, 0..3_usize, any::<bool>()), 1..80),
    ) {
        let cpu = device(Device::Cpu, 64 * GIB, Budget::Bytes(8 * GIB));
        let policy = Policy { queue_length: length, ..policy() };
        let mut world = World::with(policy, vec![cpu]).model("held", 8).model("b", 8);
        world.wants("held");
        world.until(world.now.plus(seconds(10.0)));
        let mut waiting: Vec<(RequestId, u32)> = Vec::new();
        let count = |waiting: &[(RequestId, u32)], who| waiting.iter().filter(|(_, other)| *other == who).count();
        for (who, class, leaves) in asks {
            if leaves && !waiting.is_empty() {
                let (gone, _) = waiting.remove(who as usize % waiting.len());
                world.ends(gone.0);
            }
            let before = waiting.clone();
            let ask = Ask { client: ClientId::program(who), priority: Priority::ALL[class], ..Ask::default() };
            let request = world.asks("b", ask);
            waiting.retain(|(request, _)| !world.refused.contains_key(request));
            let own = count(&before, who);
            let most = (0..4).map(|other| count(&before, other)).max().unwrap_or(0);
            if world.refused.contains_key(&request) {
                prop_assert!(before.len() == length && own + 1 >= most, "{} of {}", own, most);
                prop_assert_eq!(waiting.len(), before.len(), "a refusal costs nobody anything");
            } else {
                waiting.push((request, who));
                prop_assert!(waiting.len() <= length);
                prop_assert!(before.len() + 1 - waiting.len() <= 1, "one place for one request");
                prop_assert!(before.len() < length || most > own + 1);
            }
        }
    }
}
