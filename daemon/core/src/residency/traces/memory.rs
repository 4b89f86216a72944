//! Budgets, pressure, reservations, devices, and figures that cannot be right.

use crate::error::ErrorKind;
use crate::hardware::Device;
use crate::lifecycle::UnloadReason;
use crate::memory::{Budget, MemoryReading, Quantization};
use crate::residency::{Decision, ReservationId};

use super::super::world::{GIB, World, device, facts, name, policy, seconds, variant};

const FIRST: ReservationId = ReservationId(1);

fn evicted(model: &str, reason: UnloadReason) -> Decision {
    Decision::Evict {
        model: name(model),
        reason,
    }
}

#[test]
fn a_budget_of_nothing_loads_nothing_and_says_so() {
    let mut world = World::new(0).model("a", 6);
    let request = world.wants("a");
    let fault = &world.refused[&request];
    assert_eq!(fault.kind, ErrorKind::OutOfMemory);
    assert_eq!(fault.figures["budget_bytes"], "0");
    assert!(
        fault.message.contains("at most 0 KiB can be had"),
        "{}",
        fault.message
    );
}

#[test]
fn a_model_larger_than_the_machine_is_refused_and_nothing_goes_for_it() {
    let mut world = World::new(40).model("a", 6).model("huge", 400);
    world.chats("a", 1.0);
    world.at(10.0);
    let request = world.wants("huge");
    assert_eq!(
        world.refused[&request].figures["required_bytes"],
        (400 * GIB).to_string()
    );
    assert_eq!(
        world.refused[&request].figures["available_bytes"],
        (40 * GIB).to_string()
    );
    assert_eq!(world.loaded(), ["a"]);
}

#[test]
fn a_budget_lowered_below_what_is_loaded_breaks_nothing_and_lets_nothing_new_in() {
    let mut world = World::new(12)
        .model("a", 6)
        .model("b", 6)
        .model("c", 2)
        .model("d", 5);
    world.wants("a");
    world.wants("b");
    world.at(5.0);
    world.residency.set_budget(Device::Cpu, Budget::Bytes(4 * GIB));
    let parts = world.residency.breakdown()[0];
    assert_eq!((parts.models_bytes, parts.free_bytes), (12 * GIB, 0));
    world.chats("a", 1.0);
    world.at(10.0);
    assert_eq!(world.served.len(), 1, "what is loaded goes on answering");
    let refused = world.wants("d");
    assert_eq!(
        world.refused[&refused].kind,
        ErrorKind::OutOfMemory,
        "it will never fit"
    );
    let waits = world.wants("c");
    world.ends(1);
    world.at(20.0);
    assert!(
        !world.granted.contains_key(&waits),
        "with a gone there is still too little"
    );
    assert_eq!(world.loaded(), ["a", "b"], "and so nothing goes for nothing");
    world.ends(2);
    world.at(30.0);
    assert_eq!(world.loaded(), ["c"]);
}

#[test]
fn a_load_that_dies_of_memory_is_tried_once_more_with_everything_idle_out_of_the_way() {
    let mut world = World::new(20).model("a", 6).model("b", 6).model("c", 4);
    world.chats("a", 1.0);
    world.chats("b", 1.0);
    world.at(5.0);
    world.dies.insert(name("c"), 1);
    world.chats("c", 1.0);
    world.at(20.0);
    world.reads(&[
        "0.0 s: load a: 6 GiB of cpu, 4bit",
        "0.0 s: 1 gets a",
        "0.0 s: load b: 6 GiB of cpu, 4bit",
        "0.0 s: 2 gets b",
        "5.0 s: load c: 4 GiB of cpu, 4bit",
        "5.0 s: 3 gets c",
        "7.0 s: 3 waits again",
        "7.0 s: evict a (evicted_for:c)",
        "7.0 s: evict b (evicted_for:c)",
        "7.1 s: load c: 5 GiB of cpu, 4bit",
        "7.1 s: 3 gets c",
    ]);
    assert_eq!(world.residency.factor_percent(&name("c")), 125);
}

#[test]
fn a_load_that_dies_of_memory_twice_is_refused_and_the_next_caller_has_a_new_try() {
    let mut world = World::new(20).model("c", 4);
    world.dies.insert(name("c"), 2);
    let first = world.wants("c");
    world.at(20.0);
    assert_eq!(world.refused[&first].kind, ErrorKind::OutOfMemory);
    assert_eq!(world.loads, 2);
    world.chats("c", 1.0);
    world.at(40.0);
    assert_eq!(world.served.len(), 1);
}

#[test]
fn what_a_load_really_took_is_set_aside_next_time_and_not_corrected_again() {
    let mut world = World::new(20).model("a", 4);
    world.dies.insert(name("a"), 1);
    world.chats("a", 1.0);
    world.at(20.0);
    let option = world.residency.holding(&name("a")).unwrap().clone();
    assert_eq!(option.bytes, 5 * GIB);
    world.residency.learned(&name("a"), &option, 3 * GIB);
    let next = world
        .residency
        .options(&name("a"), crate::residency::Wishes::default());
    assert_eq!(next.unwrap()[0].bytes, 3 * GIB);
}

#[test]
fn pressure_trims_first_then_unloads_the_oldest_never_what_is_in_use_or_pinned() {
    let mut world = World::new(40)
        .model("old", 6)
        .model("new", 6)
        .model("pinned", 6)
        .model("busy", 6);
    world.chats("pinned", 1.0);
    world.chats("old", 1.0);
    world.wants("busy");
    world.at(5.0);
    world.chats("new", 1.0);
    world.at(10.0);
    world.residency.pin(&name("pinned"), true);
    let first = world.residency.pressure(Device::Cpu, GIB);
    assert_eq!(first, [Decision::Trim(name("old")), Decision::Trim(name("new"))]);
    let second = world.residency.pressure(Device::Cpu, GIB);
    assert_eq!(second, [evicted("old", UnloadReason::MemoryPressure)]);
    for decision in second {
        world.perform(decision);
    }
    assert_eq!(
        world.residency.pressure(Device::Cpu, GIB),
        [],
        "that much is on its way back"
    );
    let all = world.residency.pressure(Device::Cpu, 100 * GIB);
    assert_eq!(all, [evicted("new", UnloadReason::MemoryPressure)]);
    assert_eq!(
        world.residency.pressure(Device::Cuda(0), GIB),
        [],
        "another memory"
    );
}

#[test]
fn what_is_idle_is_given_back_on_request_and_what_is_pinned_only_if_asked_for() {
    let mut world = World::new(40).model("a", 6).model("b", 5).model("busy", 6);
    world.chats("a", 1.0);
    world.chats("b", 1.0);
    world.wants("busy");
    world.at(5.0);
    world.residency.pin(&name("a"), true);
    assert_eq!(world.residency.free_all(false), [(name("b"), 5 * GIB)]);
    assert_eq!(
        world.residency.free_all(true),
        [(name("a"), 6 * GIB), (name("b"), 5 * GIB)]
    );
}

#[test]
fn a_reservation_evicts_idle_models_is_refused_with_figures_and_given_back() {
    let mut world = World::new(12).model("a", 6).model("b", 4);
    world.chats("a", 1.0);
    world.wants("b");
    world.at(10.0);
    let now = world.now;
    let refused = world.residency.reserve(FIRST, Device::Cpu, 4 * GIB, false, now);
    let fault = refused.unwrap_err();
    assert_eq!(fault.figures["required_bytes"], (4 * GIB).to_string());
    assert_eq!(fault.figures["available_bytes"], (2 * GIB).to_string());
    let too_much = world.residency.reserve(FIRST, Device::Cpu, 9 * GIB, true, now);
    assert_eq!(too_much.unwrap_err().kind, ErrorKind::OutOfMemory, "b is in use");
    assert_eq!(world.residency.breakdown()[0].canvas_history_bytes, 0);
    let plan = world
        .residency
        .reserve(FIRST, Device::Cpu, 4 * GIB, true, now)
        .unwrap();
    assert_eq!(plan, [evicted("a", UnloadReason::EvictedForReservation)]);
    for decision in plan {
        world.perform(decision);
    }
    world.at(20.0);
    let parts = world.residency.breakdown()[0];
    assert_eq!((parts.canvas_history_bytes, parts.free_bytes), (4 * GIB, 4 * GIB));
    let smaller = world.residency.reserve(FIRST, Device::Cpu, GIB, false, world.now);
    assert_eq!(smaller.unwrap(), [], "in place of what it had");
    assert_eq!(world.residency.breakdown()[0].canvas_history_bytes, GIB);
    let more = world
        .residency
        .reserve(FIRST, Device::Cpu, 100 * GIB, true, world.now);
    assert!(more.is_err());
    assert_eq!(
        world.residency.breakdown()[0].canvas_history_bytes,
        GIB,
        "a refusal changes nothing"
    );
    world.residency.release(FIRST);
    assert_eq!(world.residency.breakdown()[0].canvas_history_bytes, 0);
    let nowhere = world
        .residency
        .reserve(FIRST, Device::Cuda(7), 1, true, world.now);
    assert_eq!(nowhere.unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn a_device_that_vanishes_is_not_loaded_on_and_what_was_on_it_hurts_nobody() {
    let gpu = device(Device::Cuda(0), 24 * GIB, Budget::Percent(80));
    let cpu = device(Device::Cpu, 64 * GIB, Budget::Percent(80));
    let both = facts(
        vec![
            variant(Quantization::Float16, 8 * GIB),
            variant(Quantization::Int4, 3 * GIB),
        ],
        seconds(2.0),
    );
    let mut world = World::with(policy(), vec![gpu, cpu])
        .package("a", both.clone())
        .package("b", both);
    world.wants("a");
    world.at(5.0);
    assert_eq!(
        world.residency.holding(&name("a")).unwrap().device,
        Device::Cuda(0)
    );
    world.residency.remove_device(Device::Cuda(0));
    assert_eq!(world.residency.free(Device::Cuda(0)), 0);
    assert_eq!(world.residency.breakdown().len(), 1);
    world.chats("b", 1.0);
    world.at(10.0);
    let held = world.residency.holding(&name("b")).unwrap();
    assert_eq!((held.device, held.level), (Device::Cpu, Quantization::Int4));
    world.ends(1);
    world.chats("a", 1.0);
    world.at(20.0);
    assert_eq!(world.served.len(), 3, "it answers as long as it can");
    world.residency.remove_device(Device::Cpu);
    world.residency.add(name("c"), 0);
    assert_eq!(world.residency.ceiling(Device::Cpu), 0);
}

#[test]
fn without_any_device_requests_are_refused() {
    let mut world = World::with(policy(), Vec::new()).model("a", 6);
    let request = world.wants("a");
    assert_eq!(world.refused[&request].kind, ErrorKind::ModelIncompatible);
}

#[test]
fn figures_that_cannot_be_right_do_no_harm() {
    let mut world = World::new(8).model("a", 6);
    world.wants("a");
    world.at(5.0);
    world.residency.measured(&name("a"), u64::MAX);
    assert_eq!(
        world.residency.reserved(&name("a")),
        6 * GIB,
        "more than there is is not believed"
    );
    world.residency.measured(&name("a"), 7 * GIB);
    assert_eq!(
        world.residency.reserved(&name("a")),
        7 * GIB,
        "more than planned is"
    );
    world.residency.measured(&name("a"), 0);
    assert_eq!(world.residency.reserved(&name("a")), 6 * GIB);
    for (total_bytes, available_bytes, own_bytes) in [
        (0, 0, 0),
        (0, u64::MAX, u64::MAX),
        (u64::MAX, 0, 0),
        (u64::MAX, u64::MAX, u64::MAX),
        (GIB, u64::MAX, 0),
        (64 * GIB, 0, u64::MAX),
    ] {
        let reading = MemoryReading {
            total_bytes,
            available_bytes,
            own_bytes,
        };
        world.residency.read(Device::Cpu, reading);
        world.settle();
        let parts = world.residency.breakdown()[0];
        assert!(parts.external_apps_bytes <= parts.total_bytes);
    }
}

#[test]
fn other_programs_that_need_more_than_was_left_to_them_take_it_from_the_models() {
    let mut world = World::new(40).model("a", 30).model("b", 4);
    let busy = |available: u64| MemoryReading {
        total_bytes: 64 * GIB,
        available_bytes: available * GIB,
        own_bytes: 0,
    };
    world.residency.read(Device::Cpu, busy(10));
    let refused = world.wants("a");
    let fault = &world.refused[&refused];
    assert!(
        fault.message.contains("other programs use 54.0 GiB of 64.0 GiB"),
        "{}",
        fault.message
    );
    assert_eq!(fault.figures["external_apps_bytes"], (54 * GIB).to_string());
    world.chats("b", 1.0);
    assert_eq!(world.loaded(), ["b"]);
}

#[test]
fn a_model_that_fits_no_gpu_because_of_what_is_pinned_there_runs_on_the_processor() {
    let gpu = device(Device::Cuda(0), 8 * GIB, Budget::Percent(90));
    let cpu = device(Device::Cpu, 64 * GIB, Budget::Percent(80));
    let half = facts(vec![variant(Quantization::Float16, 6 * GIB)], seconds(2.0));
    let mut world = World::with(policy(), vec![gpu, cpu])
        .package("a", half.clone())
        .package("b", half);
    world.chats("a", 1.0);
    world.at(5.0);
    world.residency.pin(&name("a"), true);
    world.chats("b", 1.0);
    world.at(10.0);
    assert_eq!(world.residency.holding(&name("b")).unwrap().device, Device::Cpu);
}

#[test]
fn a_preview_says_what_a_load_would_unload_and_changes_nothing() {
    let mut world = World::new(8).model("a", 6).model("b", 6).model("c", 2);
    world.chats("a", 1.0);
    world.at(5.0);
    for model in ["b", "c"] {
        let facts = world.packages[&name(model)].clone();
        world.residency.facts(&name(model), Ok(facts));
    }
    let wishes = crate::residency::Wishes::default();
    let preview = world.residency.preview(&name("b"), wishes, world.now).unwrap();
    assert_eq!((preview.would_unload, preview.refusal), (vec![name("a")], None));
    let preview = world.residency.preview(&name("c"), wishes, world.now).unwrap();
    assert_eq!((preview.would_unload, preview.refusal), (vec![], None));
    world.residency.pin(&name("a"), true);
    let preview = world.residency.preview(&name("b"), wishes, world.now).unwrap();
    assert_eq!(preview.refusal.unwrap().kind, ErrorKind::OutOfMemory);
    assert_eq!(world.loaded(), ["a"]);
}
