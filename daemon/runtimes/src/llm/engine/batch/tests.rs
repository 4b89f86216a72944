//! Cases. What comes of the decisions in the long run is tried in `simulation`.

use airunner_core::Priority;

use super::*;

fn turn(arrival: u64) -> Turn {
    super::super::turn::turn(Priority::Api, arrival)
}

fn person(arrival: u64) -> Turn {
    super::super::turn::turn(Priority::Interactive, arrival)
}

fn background(arrival: u64) -> Turn {
    super::super::turn::turn(Priority::Background, arrival)
}

fn decode(slot: usize) -> View {
    View {
        slot,
        phase: Phase::Decode,
        rests: false,
        is_parked: false,
        turn: turn(slot as u64),
        next: None,
    }
}

fn prompt(slot: usize, remaining: usize, arrival: u64) -> View {
    View {
        slot,
        phase: Phase::Prompt { remaining },
        rests: false,
        is_parked: false,
        turn: turn(arrival),
        next: None,
    }
}

fn resting(view: View) -> View {
    View { rests: true, ..view }
}

fn parked(view: View) -> View {
    View {
        is_parked: true,
        ..resting(view)
    }
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
    let low = View {
        turn: background(0),
        ..decode(2)
    };
    assert_eq!(gives_way(&[decode(0), low, decode(1)]), Some(2));
    assert_eq!(gives_way(&[prompt(0, 5, 1), decode(3)]), Some(3));
    assert_eq!(gives_way(&[decode(3)]), None);
    assert_eq!(gives_way(&[]), None);
}

#[test]
fn whose_reader_does_not_keep_up_gives_way_before_all_others() {
    assert_eq!(gives_way(&[parked(decode(0)), decode(1), decode(2)]), Some(0));
    assert_eq!(
        gives_way(&[parked(decode(0)), decode(1)]),
        Some(0),
        "for the only other one"
    );
    assert_eq!(gives_way(&[parked(decode(0))]), None, "for nobody");
    assert_eq!(
        gives_way(&[decode(0), resting(decode(1))]),
        Some(1),
        "waiting for another is no fault"
    );
    let at_work = [parked(decode(0)), decode(1)];
    assert_eq!(makes_way(&at_work, turn(9), 0), Some(0), "for a later one");
    assert_eq!(
        makes_way(&at_work, background(9), 0),
        Some(0),
        "for a lower class"
    );
    assert_eq!(
        makes_way(&[parked(decode(0)), parked(decode(1))], turn(9), 0),
        Some(1)
    );
}

#[test]
fn a_slot_is_given_up_for_a_higher_class_only() {
    let at_work = [decode(4), decode(5), decode(3)];
    assert_eq!(makes_way(&at_work, turn(9), 0), None);
    assert_eq!(makes_way(&at_work, turn(1), 0), None);
    assert_eq!(makes_way(&at_work, background(0), 0), None);
    assert_eq!(makes_way(&at_work, person(9), 0), Some(5), "the last in turn");
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

mod simulation;
