//! Whose turn it is, and how long anybody waits.

use std::time::Duration;

use crate::error::ErrorKind;
use crate::generate::ClientId;
use crate::lifecycle::RequestId;
use crate::memory::Budget;
use crate::priority::Priority;
use crate::residency::Policy;
use crate::time::Moment;

use super::super::world::{Ask, GIB, World, device, policy, seconds};

fn of(priority: Priority) -> Ask {
    Ask {
        priority,
        answer: Some(seconds(1.0)),
        ..Ask::default()
    }
}

#[test]
fn a_stream_of_requests_for_one_model_does_not_starve_another() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    let mut starved = None;
    for tick in 0..160 {
        world.at(f64::from(tick) / 2.0);
        world.chats("a", 1.2);
        if tick == 6 {
            starved = Some(world.chats("b", 1.0));
        }
    }
    world.at(200.0);
    let waited = world.waited[&starved.unwrap()];
    // The answers under way, the end of the worker, the load.
    assert!(waited <= seconds(30.0 + 1.2 + 0.1 + 2.0), "{waited:?}");
    assert_eq!(world.served.len(), 161);
    assert_eq!(world.loads, 3, "a, b, and a for those who came later");
}

#[test]
fn small_models_that_come_and_go_do_not_starve_a_large_one() {
    let mut world = World::new(8).model("large", 8);
    for small in ["s1", "s2", "s3", "s4", "s5", "s6"] {
        world = world.model(small, 2);
    }
    world.chats("s1", 1.0);
    world.at(1.0);
    let mut large = None;
    for tick in 0..200 {
        world.at(1.0 + f64::from(tick) / 2.0);
        let small = ["s1", "s2", "s3", "s4", "s5", "s6"][tick as usize % 6];
        world.chats(small, 1.0);
        if tick == 5 {
            large = Some(world.chats("large", 1.0));
        }
    }
    world.at(300.0);
    let waited = world.waited[&large.unwrap()];
    // One small one may just have been let in: its load and its answer come before.
    assert!(waited <= seconds(30.0 + 2.0 + 1.0 + 0.1 + 2.0), "{waited:?}");
    assert_eq!((world.served.len(), world.open()), (202, 0));
}

#[test]
fn a_person_comes_before_a_program_and_a_program_before_what_nobody_watches() {
    let mut world = World::new(8)
        .model("z", 6)
        .model("a", 6)
        .model("b", 6)
        .model("c", 6);
    world.wants("z");
    world.at(3.0);
    world.asks("a", of(Priority::Background));
    world.asks("b", of(Priority::Api));
    world.asks("c", of(Priority::Interactive));
    world.ends(1);
    world.at(60.0);
    let order: Vec<&str> = world
        .text
        .iter()
        .filter_map(|line| line.split_once(" gets "))
        .map(|(_, model)| model)
        .collect();
    assert_eq!(order, ["z", "c", "b", "a"]);
}

#[test]
fn a_person_need_not_wait_for_programs_that_keep_a_model_busy() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    for tick in 0..40 {
        world.at(f64::from(tick) / 2.0);
        world.chats("a", 1.2);
        if tick == 10 {
            world.asks("b", of(Priority::Interactive));
        }
    }
    world.at(100.0);
    let waited = world.waited[&RequestId(12)];
    assert!(waited <= seconds(1.2 + 0.1 + 2.0), "{waited:?}");
}

#[test]
fn who_has_waited_too_long_comes_before_every_class() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    world.asks("a", of(Priority::Interactive));
    world.at(1.0);
    let patient = world.asks("b", of(Priority::Background));
    for tick in 3..200 {
        world.at(f64::from(tick) / 2.0);
        world.asks("a", of(Priority::Interactive));
    }
    world.at(200.0);
    let waited = world.waited[&patient];
    assert!(
        waited >= seconds(29.0),
        "people come first until then: {waited:?}"
    );
    assert!(waited <= seconds(30.0 + 1.0 + 0.1 + 2.0), "{waited:?}");
}

#[test]
fn who_waits_no_longer_than_they_said_is_refused_with_the_reason() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    world.wants("a");
    world.at(3.0);
    let hasty = world.asks(
        "b",
        Ask {
            patience: Some(seconds(5.0)),
            ..Ask::default()
        },
    );
    world.at(7.9);
    assert!(world.refused.is_empty());
    world.at(8.0);
    let fault = &world.refused[&hasty];
    assert_eq!(fault.kind, ErrorKind::DeadlineExceeded);
    assert_eq!(
        fault.message,
        "its turn did not come within 5.0 s (it waits for 6.0 GiB, in use: a)"
    );
    world.ends(1);
    world.at(20.0);
    assert_eq!(
        world.loaded(),
        ["a"],
        "nothing is unloaded for somebody who has left"
    );
}

#[test]
fn nothing_is_loaded_for_somebody_whose_time_is_up_at_that_moment() {
    let mut world = World::new(8).model("a", 6);
    world.asks(
        "a",
        Ask {
            patience: Some(Duration::ZERO),
            ..Ask::default()
        },
    );
    world.reads(&["0.0 s: refuse 1: deadline_exceeded"]);
}

#[test]
fn who_gives_up_is_forgotten_and_the_others_move_up() {
    let mut world = World::new(8).model("a", 6).model("b", 6).model("c", 6);
    world.wants("a");
    world.at(3.0);
    world.wants("b");
    let last = world.wants("c");
    world.ends(2);
    let waiting = world.residency.waiting(world.now);
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].0, waiting[0].2.position), (last, 0));
    world.ends(1);
    world.at(20.0);
    assert_eq!(world.loaded(), ["c"]);
}

#[test]
fn a_load_that_nobody_waits_for_any_more_gives_its_memory_to_the_next() {
    let mut world = World::new(8).model("a", 6).model("b", 6);
    world.wants("a");
    world.at(1.0);
    world.chats("b", 1.0);
    world.ends(1);
    world.at(20.0);
    assert_eq!(world.loaded(), ["b"]);
    assert_eq!(world.served.len(), 1);
}

#[test]
fn a_full_queue_says_when_to_try_again() {
    let policy = Policy {
        queue_length: 2,
        ..policy()
    };
    let cpu = device(crate::hardware::Device::Cpu, 64 * GIB, Budget::Bytes(8 * GIB));
    let mut world = World::with(policy, vec![cpu]).model("a", 6).model("b", 6);
    world.wants("a");
    world.at(3.0);
    world.wants("b");
    world.wants("b");
    let refused = world.wants("b");
    let fault = &world.refused[&refused];
    assert_eq!(fault.kind, ErrorKind::QueueFull);
    assert!(fault.retry_after.is_some());
    world.chats("a", 1.0);
    assert_eq!(world.refused.len(), 1, "who can be served at once does not wait");
    world.ends(1);
    world.at(20.0);
    assert_eq!(world.granted.len(), 2);
}

#[test]
fn a_clock_that_jumps_far_ahead_lets_everybody_age_and_breaks_nothing() {
    let mut world = World::new(8).model("a", 6).model("b", 6).model("c", 6);
    world.wants("a");
    world.at(3.0);
    world.chats("b", 1.0);
    world.chats("c", 1.0);
    world.chats("b", 1.0);
    // The machine slept for ten years.
    world.now = Moment::since_start(Duration::from_secs(10 * 365 * 86_400));
    world.settle();
    world.ends(1);
    world.until(world.now.plus(seconds(60.0)));
    assert_eq!(world.served.len(), 4);
    let mut world = World::new(8).model("a", 6).model("b", 6);
    world.now = Moment::since_start(Duration::MAX);
    world.wants("a");
    world.wants("b");
    assert_eq!(
        (world.loads, world.open()),
        (1, 2),
        "at the end of time nothing ends"
    );
}

#[test]
fn what_happens_at_the_same_moment_is_served_in_the_order_it_was_asked() {
    let mut world = World::new(8)
        .model("z", 6)
        .model("a", 6)
        .model("b", 6)
        .model("c", 6);
    world.chats("z", 1.0);
    for model in ["c", "a", "b"] {
        world.chats(model, 1.0);
    }
    world.at(60.0);
    let order: Vec<u64> = world.waited.keys().map(|request| request.0).collect();
    assert_eq!(order, [1, 2, 3, 4]);
    let mut waits: Vec<Duration> = world.waited.values().copied().collect();
    let as_asked = waits.clone();
    waits.sort();
    assert_eq!(waits, as_asked);
}

fn from(client: u32) -> Ask {
    Ask {
        client: ClientId::program(client),
        answer: Some(seconds(1.0)),
        ..Ask::default()
    }
}

#[test]
fn who_asks_for_much_waits_behind_itself() {
    let mut world = World::new(8).model("a", 6);
    for _ in 0..40 {
        world.asks("a", from(1));
    }
    world.at(3.5);
    let few: Vec<RequestId> = (0..2).map(|_| world.asks("a", from(2))).collect();
    world.at(60.0);
    assert_eq!(world.served.len(), 42);
    for request in few {
        let waited = world.waited[&request];
        assert!(
            waited <= seconds(2.0),
            "the next places are theirs, not the last: {waited:?}"
        );
    }
}

/// A queue of four for a model that waits for another one to end.
fn full_queue() -> World {
    let policy = Policy {
        queue_length: 4,
        ..policy()
    };
    let cpu = device(crate::hardware::Device::Cpu, 64 * GIB, Budget::Bytes(8 * GIB));
    let mut world = World::with(policy, vec![cpu]).model("a", 6).model("b", 6);
    world.wants("a");
    world.at(3.0);
    world
}

#[test]
fn a_client_that_fills_the_queue_gives_places_up_to_others() {
    let mut world = full_queue();
    let many: Vec<RequestId> = (0..4).map(|_| world.asks("b", from(1))).collect();
    let refused = world.asks("b", from(1));
    assert_eq!(world.refused[&refused].kind, ErrorKind::QueueFull);
    assert_eq!(world.refused.len(), 1, "nobody makes room for who has the most");

    let first = world.asks("b", from(2));
    let second = world.asks("b", from(2));
    for displaced in [many[3], many[2]] {
        let fault = &world.refused[&displaced];
        assert_eq!(fault.kind, ErrorKind::QueueFull);
        assert!(fault.retry_after.is_some());
        assert!(
            fault.figures.contains_key("own_requests") && fault.figures.contains_key("queue_length"),
            "{fault:?}"
        );
    }
    let third = world.asks("b", from(2));
    assert!(world.refused.contains_key(&third), "both have as many by now");
    let other = world.asks("b", from(3));
    assert_eq!(world.refused.len(), 5, "one who has none waiting gets in");
    world.ends(1);
    world.at(30.0);
    let served = [many[0], many[1], first, second, other];
    assert_eq!(
        served
            .iter()
            .filter(|request| world.served.contains(request))
            .count(),
        4
    );
    assert!(world.served.contains(&other));
}

#[test]
fn what_is_of_the_lowest_class_gives_its_place_up_first() {
    let mut world = full_queue();
    let classes = [
        Priority::Background,
        Priority::Interactive,
        Priority::Background,
        Priority::Api,
    ];
    let many = classes.map(|priority| {
        let ask = Ask { priority, ..from(1) };
        world.asks("b", ask)
    });
    world.asks("b", from(2));
    assert_eq!(world.refused.keys().copied().collect::<Vec<_>>(), [many[2]]);
}
