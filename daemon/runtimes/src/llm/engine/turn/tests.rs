use proptest::prelude::*;

use super::*;

fn client(number: u32) -> ClientId {
    ClientId::program(number)
}

fn enter(turns: &mut Turns, number: u32) -> Claim {
    enter_as(turns, number, Priority::Api)
}

fn enter_as(turns: &mut Turns, number: u32, priority: Priority) -> Claim {
    turns.enter(client(number), priority, false)
}

/// Some client uses up a slice.
fn work(turns: &mut Turns, number: u32) {
    let mut claim = enter(turns, number);
    turns.begin(&mut claim, 0);
    turns.charge(&mut claim, SLICE);
    turns.leave(&mut claim, false);
}

#[test]
fn higher_classes_come_first_and_none_waits_for_ever() {
    let mut turns = Turns::default();
    let mut of = |priority| turns.enter(client(1), priority, true);
    let claims = [
        of(Priority::Interactive),
        of(Priority::Api),
        of(Priority::Background),
    ];
    let order = |turns: &Turns| claims.map(|claim| turns.turn(&claim)).is_sorted();
    assert!(order(&turns));
    for (class, expected) in [(2, true), (1, true), (1, false), (2, false)] {
        let person = enter_as(&mut turns, 2, Priority::Interactive);
        let low = turns.turn(&claims[class]);
        assert_eq!(low.is_outclassed_by(turns.turn(&person)), expected);
        (0..HEAD_START / SLICE * u64::from(!expected || class == 1)).for_each(|_| work(&mut turns, 2));
    }
    assert!(order(&turns), "of one client they stay in order");
}

#[test]
fn a_client_s_requests_stay_in_order() {
    let mut turns = Turns::default();
    let claims: Vec<Claim> = (0..100)
        .map(|_| turns.enter(client(1), Priority::Api, true))
        .collect();
    assert!(claims.iter().map(|claim| turns.turn(claim)).is_sorted());
}

#[test]
fn who_had_much_comes_later_and_an_idle_time_is_no_credit() {
    let mut turns = Turns::default();
    (0..10).for_each(|_| work(&mut turns, 1));
    let (first, second) = (enter(&mut turns, 1), enter(&mut turns, 2));
    assert!(turns.turn(&second) < turns.turn(&first));
    let ahead = turns.turn(&first).is_behind_by(turns.turn(&second));
    assert!(ahead <= SLICE, "of ten slices one counts at most: {ahead}");
}

#[test]
fn what_was_not_used_is_given_back() {
    let mut turns = Turns::default();
    let mut claim = enter(&mut turns, 1);
    turns.begin(&mut claim, 5 * SLICE);
    turns.charge(&mut claim, 7);
    assert!(!claim.is_spent());
    turns.leave(&mut claim, true);
    let (first, second) = (enter(&mut turns, 1), turns.enter(client(2), Priority::Api, true));
    assert!(turns.turn(&first).is_behind_by(turns.turn(&second)) <= 7);
}

#[test]
fn a_slice_that_is_used_up_is_noticed_and_more_is_charged() {
    let mut turns = Turns::default();
    let mut claim = enter(&mut turns, 1);
    turns.begin(&mut claim, 0);
    turns.charge(&mut claim, SLICE - 1);
    assert!(!claim.is_spent());
    turns.charge(&mut claim, 100);
    assert!(claim.is_spent());
    let behind = turns.next_turn(&claim).is_behind_by(turns.turn(&claim));
    assert_eq!(behind, SLICE + 99);
    turns.renew(&mut claim, false);
    assert!(!claim.is_spent());
}

proptest! {
    #[test]
    fn the_memory_of_clients_is_bounded(count in 0..2000_u32) {
        let mut turns = Turns::default();
        let waits = enter(&mut turns, 5000);
        let before = turns.turn(&waits);
        for number in 0..count {
            work(&mut turns, number);
            turns.forget(|there| there == client(5000));
        }
        prop_assert!(turns.next.len() <= CLIENTS + 1);
        prop_assert_eq!(turns.turn(&waits), before, "who waits is not forgotten");
    }
}
