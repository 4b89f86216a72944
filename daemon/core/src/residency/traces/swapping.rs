//! Models that come, wait and go for each other.

use crate::lifecycle::Event;
use crate::lifecycle::Purpose;
use crate::memory::Quantization;
use crate::priority::Priority;
use crate::residency::{Policy, Wishes};

use super::super::world::{Ask, GIB, World, device, facts, name, policy, seconds, variant};

#[test]
fn a_second_model_that_does_not_fit_evicts_the_idle_one_and_waits_for_its_memory() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    world.chats("a", 1.0);
    world.at(10.0);
    world.chats("b", 1.0);
    world.at(20.0);
    world.reads(&[
        "0.0 s: load a: 6 GiB of cpu, 4bit",
        "0.0 s: 1 gets a",
        "10.0 s: evict a (evicted_for:b)",
        "10.1 s: load b: 6 GiB of cpu, 4bit",
        "10.1 s: 2 gets b",
    ]);
    assert_eq!(world.loaded(), ["b"]);
}

#[test]
fn two_models_that_fit_beside_each_other_stay() {
    let mut world = World::new(12).model("a", 6).model("b", 6);
    world.chats("a", 1.0);
    world.chats("b", 1.0);
    world.at(10.0);
    world.reads(&[
        "0.0 s: load a: 6 GiB of cpu, 4bit",
        "0.0 s: 1 gets a",
        "0.0 s: load b: 6 GiB of cpu, 4bit",
        "0.0 s: 2 gets b",
    ]);
}

#[test]
fn a_busy_model_is_never_evicted_and_the_request_waits_with_position_and_reason() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    world.wants("a");
    world.at(5.0);
    world.wants("b");
    world.wants("b");
    let waiting = world.residency.waiting(world.now);
    let places: Vec<(u64, u32, &str)> = waiting
        .iter()
        .map(|(request, _, queued)| (request.0, queued.position, queued.reason.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (2, 0, "it waits for 6.0 GiB, in use: a"),
            (3, 1, "it waits for 6.0 GiB, in use: a")
        ]
    );
    assert_eq!(
        waiting[0].2.estimated_wait,
        Some(seconds(2.0)),
        "as long as a load takes"
    );
    world.at(100.0);
    world.ends(1);
    world.at(110.0);
    world.reads(&[
        "0.0 s: load a: 6 GiB of cpu, 4bit",
        "0.0 s: 1 gets a",
        "100.0 s: evict a (evicted_for:b)",
        "100.1 s: load b: 6 GiB of cpu, 4bit",
        "100.1 s: 2 gets b",
        "100.1 s: 3 gets b",
    ]);
}

#[test]
fn a_pinned_model_never_goes_and_the_refusal_has_the_figures() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    world.chats("a", 1.0);
    world.at(10.0);
    world.residency.pin(&name("a"), true);
    let request = world.wants("b");
    let fault = &world.refused[&request];
    assert_eq!(
        fault.message,
        "b needs 6.0 GiB (4-bit quantization, context of 4096 tokens) and at most 2.0 GiB can be had: the budget is 8.0 GiB, \
         pinned: a. Close other programs, raise the budget with \"airunner memory budget\", or load it with a \
         shorter --context"
    );
    for (figure, value) in [
        ("required_bytes", (6 * GIB).to_string()),
        ("available_bytes", (2 * GIB).to_string()),
        ("budget_bytes", (8 * GIB).to_string()),
        ("pinned_models", "a".to_owned()),
    ] {
        assert_eq!(fault.figures[figure], value, "{figure}");
    }
    world.residency.pin(&name("a"), false);
    world.wants("b");
    world.at(20.0);
    assert_eq!(world.loaded(), ["b"]);
}

#[test]
fn many_who_want_the_same_model_share_one_load() {
    let policy = Policy {
        capacity: 100,
        ..policy()
    };
    let cpu = device(
        crate::hardware::Device::Cpu,
        64 * GIB,
        crate::memory::Budget::Percent(80),
    );
    let mut world = World::with(policy, vec![cpu]).model("a", 6);
    for _ in 0..100 {
        world.chats("a", 1.0);
    }
    world.at(10.0);
    assert_eq!((world.loads, world.served.len()), (1, 100));
}

#[test]
fn one_model_answers_no_more_at_once_than_it_can() {
    let mut world = World::new(8).model("a", 6);
    for _ in 0..6 {
        world.chats("a", 1.0);
    }
    world.at(2.5);
    assert_eq!((world.granted.len(), world.open()), (4, 2));
    world.at(10.0);
    assert_eq!(world.served.len(), 6);
}

#[test]
fn a_b_a_c_a_is_not_five_swaps() {
    let mut world = World::new(8)
        .model("a", 6)
        .model("b", 6)
        .model("c", 6)
        .model("z", 6);
    world.wants("z");
    world.at(3.0);
    for model in ["a", "b", "a", "c", "a"] {
        world.chats(model, 1.0);
    }
    world.ends(1);
    world.at(60.0);
    assert_eq!(world.served.len(), 6);
    assert_eq!(world.loads, 4, "{:#?}", world.text);
}

#[test]
fn a_b_a_c_a_is_not_five_swaps_either_when_all_have_waited_too_long() {
    let mut world = World::new(8)
        .model("a", 6)
        .model("b", 6)
        .model("c", 6)
        .model("z", 6);
    world.wants("z");
    world.at(3.0);
    for model in ["a", "b", "a", "c", "a"] {
        world.chats(model, 1.0);
        world.at(world.now.elapsed_since_start().as_secs_f64() + 1.0);
    }
    world.at(200.0);
    world.ends(1);
    world.at(260.0);
    assert_eq!(world.served.len(), 6);
    assert_eq!(world.loads, 4, "{:#?}", world.text);
}

#[test]
fn a_caller_with_many_questions_keeps_its_model_for_a_while() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    let mut question = world.chats("a", 1.0);
    world.at(2.5);
    world.chats("b", 1.0);
    // It asks again 10 ms after each answer.
    for _ in 0..5 {
        while !world.served.contains(&question) {
            let next = world.next().unwrap();
            world.until(next);
        }
        world.until(world.now.plus(seconds(0.01)));
        question = world.chats("a", 1.0);
    }
    world.at(60.0);
    assert_eq!(world.served.len(), 7);
    // Neither one swap for every question nor all questions first.
    assert_eq!(world.loads, 3, "{:#?}", world.text);
    let b = world.waited[&crate::lifecycle::RequestId(2)];
    assert!(b <= seconds(2.0 * 2.0 + 1.0 + 0.1 + 2.0), "{b:?}");
}

#[test]
fn a_swap_there_and_back_one_after_the_other_has_no_added_wait() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    for model in ["a", "b", "a"] {
        let request = world.chats(model, 1.0);
        while !world.served.contains(&request) {
            let next = world.next().unwrap();
            world.until(next);
        }
    }
    let waits: Vec<f64> = world
        .waited
        .values()
        .map(std::time::Duration::as_secs_f64)
        .collect();
    assert_eq!(
        waits,
        [2.0, 2.1, 2.1],
        "the load, and the end of the other worker"
    );
}

#[test]
fn a_request_for_a_model_that_is_just_leaving_changes_what_follows() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    world.slow_to_stop = true;
    world.chats("a", 1.0);
    world.at(10.0);
    world.chats("b", 1.0);
    world.chats("a", 1.0);
    assert_eq!(
        world.residency.waiting(world.now)[1].2.reason,
        "it is being unloaded"
    );
    world.slow_to_stop = false;
    world.workers_end();
    world.at(60.0);
    world.reads(&[
        "0.0 s: load a: 6 GiB of cpu, 4bit",
        "0.0 s: 1 gets a",
        "10.0 s: evict a (evicted_for:b)",
        "10.0 s: load b: 6 GiB of cpu, 4bit",
        "10.0 s: 2 gets b",
        // A moment later than its last answer: its caller might have had another question.
        "13.1 s: evict b (evicted_for:a)",
        "13.2 s: load a: 6 GiB of cpu, 4bit",
        "13.2 s: 3 gets a",
    ]);
}

#[test]
fn a_model_that_turns_busy_between_plan_and_eviction_stays_and_the_plan_is_redone() {
    let mut world = World::new(12).model("a", 6).model("b", 6).model("c", 6);
    world.chats("a", 1.0);
    world.at(5.0);
    world.chats("b", 1.0);
    world.at(10.0);
    // Somebody else got hold of `a` in between, and the plan does not know it yet.
    let a = name("a");
    let acquire = Event::Acquire {
        request: crate::lifecycle::RequestId(99),
        purpose: Purpose::Use,
        keep_alive: None,
    };
    world
        .machines
        .get_mut(&a)
        .unwrap()
        .step(acquire, world.now)
        .unwrap();
    let demand = crate::residency::Demand {
        request: crate::lifecycle::RequestId(50),
        model: name("c"),
        client: crate::generate::ClientId::default(),
        priority: Priority::Interactive,
        arrived: world.now,
        deadline: None,
        wishes: Wishes::default(),
        may_evict: true,
        start: 0,
    };
    let facts = world.packages[&name("c")].clone();
    world.residency.facts(&name("c"), Ok(facts));
    world.residency.ask(demand).unwrap();
    let planned = world.residency.decide(world.now);
    let reason = crate::lifecycle::UnloadReason::EvictedFor(name("c"));
    let expected = crate::residency::Decision::Evict {
        model: a.clone(),
        reason: reason.clone(),
    };
    assert!(planned.contains(&expected), "{planned:?}");
    world.step(&a, Event::Evict { reason });
    assert_eq!(
        world.residency.decide(world.now).first(),
        Some(&crate::residency::Decision::Evict {
            model: name("b"),
            reason: crate::lifecycle::UnloadReason::EvictedFor(name("c")),
        })
    );
    assert!(world.loaded().contains(&"a".to_owned()));
}

#[test]
fn a_loaded_model_is_loaded_anew_with_another_context_if_it_is_idle() {
    let mut world = World::new(8).model("a", 6);
    world.chats("a", 1.0);
    world.at(10.0);
    world.residency.pin(&name("a"), true);
    world.asks("a", context(8192));
    world.at(20.0);
    world.reads(&[
        "0.0 s: load a: 6 GiB of cpu, 4bit",
        "0.0 s: 1 gets a",
        "10.0 s: evict a (reloaded)",
        "10.1 s: load a: 6 GiB of cpu, 4bit",
        "10.1 s: 2 gets a",
    ]);
    assert_eq!(world.residency.holding(&name("a")).unwrap().context_length, 8192);
    assert!(
        world.residency.is_pinned(&name("a")),
        "a reload changes the context only"
    );
    world.chats("a", 1.0);
    assert_eq!(world.loads, 2, "who has no wish takes it as it is");
}

#[test]
fn a_busy_model_is_not_loaded_anew_and_the_refusal_says_how_it_is_loaded() {
    let mut world = World::new(8).model("a", 6);
    world.wants("a");
    world.at(10.0);
    let request = world.asks("a", context(8192));
    assert_eq!(
        world.refused[&request].message,
        "a is in use with 4bit and a context of 4096 tokens: try again when it is idle, or unload it first"
    );
    assert!(world.granted.contains_key(&crate::lifecycle::RequestId(1)));
}

#[test]
fn another_context_is_waited_for_while_a_model_is_on_its_way_out() {
    let mut world = World::new(8).model("a", 6);
    world.wants("a");
    world.at(5.0);
    world.step(&name("a"), Event::Unload { force: false });
    world.asks("a", context(8192));
    world.asks("a", context(8192));
    assert_eq!(world.residency.wanted()[&name("a")], 2);
    assert!(world.refused.is_empty());
    world.ends(1);
    world.at(20.0);
    assert_eq!(world.served.len(), 3);
}

#[test]
fn a_request_lets_another_load_end_before_it_swaps_unless_a_person_waits() {
    let swaps_at = |priority| {
        let mut world = World::new(12).model("a", 6).model("b", 6).model("c", 6);
        world.chats("a", 1.0);
        world.at(10.0);
        world.chats("b", 1.0);
        world.at(11.0);
        world.asks(
            "c",
            Ask {
                priority,
                answer: Some(seconds(1.0)),
                ..Ask::default()
            },
        );
        world.at(30.0);
        let line = world.text.iter().find(|line| line.contains("evict a"));
        line.and_then(|line| Some(line.split_once(" s: ")?.0.to_owned()))
    };
    // The load of `b` takes until then.
    assert_eq!(swaps_at(Priority::Api), Some("12.0".to_owned()));
    assert_eq!(swaps_at(Priority::Interactive), Some("11.0".to_owned()));
}

#[test]
fn wishes_that_cannot_be_granted_are_refused_to_those_who_have_them_only() {
    let mut world = World::new(8).model("a", 6).model("z", 6);
    world.wants("z");
    world.at(5.0);
    let reasonable = world.wants("a");
    let too_long = world.asks("a", context(1_000_000));
    let no_such_level = world.asks(
        "a",
        Ask {
            wishes: Wishes {
                level: Some(Quantization::Float16),
                context_length: None,
            },
            ..Ask::default()
        },
    );
    world.ends(1);
    world.at(20.0);
    assert!(world.granted.contains_key(&reasonable));
    assert_eq!(
        world.refused[&too_long].message,
        "a has a context of at most 32768 tokens, 1000000 were asked for"
    );
    assert_eq!(
        world.refused[&no_such_level].message,
        "a has no variant of precision fp16 that this machine runs: it has 4bit"
    );
}

#[test]
fn two_contexts_wanted_at_once_are_not_mixed_up() {
    let mut world = World::new(8).model("a", 6);
    world.wants("a");
    world.at(5.0);
    world.ends(1);
    world.step(&name("a"), Event::Unload { force: false });
    world.at(10.0);
    let first = world.asks("a", context(2048));
    let second = world.asks("a", context(8192));
    world.at(20.0);
    assert!(world.served.contains(&first));
    assert_eq!(world.refused[&second].kind, crate::error::ErrorKind::Busy);
}

#[test]
fn a_preload_that_may_not_evict_is_dropped_if_there_is_no_room() {
    let mut world = World::new(8).model("a", 6).model("b", 6).model("c", 2);
    world.chats("a", 1.0);
    world.at(10.0);
    let preload = Ask {
        priority: Priority::Background,
        may_evict: false,
        purpose: Purpose::Load,
        ..Ask::default()
    };
    world.asks("b", preload);
    world.asks("c", preload);
    world.at(20.0);
    world.reads(&[
        "0.0 s: load a: 6 GiB of cpu, 4bit",
        "0.0 s: 1 gets a",
        "10.0 s: refuse 2: out_of_memory",
        "10.0 s: load c: 2 GiB of cpu, 4bit",
        "10.0 s: 3 gets c",
    ]);
}

#[test]
fn a_preload_does_not_spoil_it_for_a_request_for_the_same_model() {
    let mut world = World::new(8).model("a", 6).model("z", 6);
    world.wants("z");
    world.at(5.0);
    // The preload came when memory was still coming back, so it waits, and so does the request.
    let preload = Ask {
        may_evict: false,
        purpose: Purpose::Load,
        ..Ask::default()
    };
    world.slow_to_stop = true;
    world.ends(1);
    world.step(&name("z"), Event::Unload { force: false });
    world.asks("a", preload);
    let request = world.wants("a");
    world.slow_to_stop = false;
    world.workers_end();
    world.at(20.0);
    assert!(world.refused.is_empty(), "{:?}", world.refused);
    assert!(world.granted.contains_key(&request));
}

#[test]
fn the_least_that_suffices_goes_and_the_model_asked_for_least_goes_first() {
    let mut world = World::new(12)
        .model("often", 4)
        .model("seldom", 4)
        .model("favourite", 4)
        .rank("favourite", 1)
        .model("new", 4);
    world.chats("favourite", 0.1);
    world.chats("seldom", 0.1);
    for at in 1..6 {
        world.at(f64::from(at) * 10.0);
        world.chats("often", 0.1);
    }
    world.at(55.0);
    world.chats("seldom", 0.1);
    world.at(56.0);
    world.chats("new", 0.1);
    world.at(60.0);
    assert_eq!(world.loaded(), ["favourite", "new", "often"], "{:#?}", world.text);
}

#[test]
fn of_two_ways_that_are_as_good_the_one_that_takes_nothing_from_others_is_taken() {
    let gpus = [0, 1].map(|index| {
        device(
            crate::hardware::Device::Cuda(index),
            8 * GIB,
            crate::memory::Budget::Percent(90),
        )
    });
    let half = |gib| facts(vec![variant(Quantization::Float16, gib * GIB)], seconds(2.0));
    let mut world = World::with(policy(), gpus.to_vec())
        .package("a", half(6))
        .package("b", half(6));
    world.chats("a", 1.0);
    world.at(10.0);
    world.chats("b", 1.0);
    world.at(20.0);
    world.reads(&[
        "0.0 s: load a: 6 GiB of cuda:0, fp16",
        "0.0 s: 1 gets a",
        "10.0 s: load b: 6 GiB of cuda:1, fp16",
        "10.0 s: 2 gets b",
    ]);
}

fn context(length: u32) -> Ask {
    Ask {
        wishes: Wishes {
            level: None,
            context_length: Some(length),
        },
        answer: Some(seconds(1.0)),
        ..Ask::default()
    }
}
