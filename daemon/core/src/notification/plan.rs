//! What is shown now of what waits.

use std::time::Duration;

use super::item::NotificationId;
use super::rate::Allowance;
use crate::time::Moment;

/// So many appear one by one; more appear as one that says how many.
pub const FEW: usize = 3;

/// One that waits and whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub id: NotificationId,
    /// Somebody is looking for it: neither quiet hours nor the bound on how many hold it back.
    pub at_once: bool,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One by one, in this order.
    pub show: Vec<NotificationId>,
    /// As one; empty or more than [`FEW`].
    pub together: Vec<NotificationId>,
    /// When the rest may be shown; `None`: nothing is left, or quiet hours hold it back.
    pub again_in: Option<Duration>,
}

/// Decides about those that are due, the oldest first. What is shown is taken from the allowance.
pub fn plan(due: &[Waiting], quiet: bool, allowance: &mut Allowance, now: Moment) -> Plan {
    let mut plan = Plan::default();
    plan.show
        .extend(due.iter().filter(|one| one.at_once).map(|one| one.id));
    if quiet {
        return plan;
    }
    let others: Vec<NotificationId> = due.iter().filter(|one| !one.at_once).map(|one| one.id).collect();
    if others.len() > FEW {
        if allowance.take(now) {
            plan.together = others;
        } else {
            plan.again_in = Some(allowance.wait(now));
        }
        return plan;
    }
    for id in others {
        if !allowance.take(now) {
            plan.again_in = Some(allowance.wait(now));
            break;
        }
        plan.show.push(id);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_start(Duration::from_secs(seconds))
    }

    fn due(ids: std::ops::Range<u64>) -> Vec<Waiting> {
        ids.map(|id| Waiting {
            id: NotificationId(id),
            at_once: false,
        })
        .collect()
    }

    fn ids(ids: std::ops::Range<u64>) -> Vec<NotificationId> {
        ids.map(NotificationId).collect()
    }

    #[test]
    fn a_few_are_shown_and_many_are_told_together() {
        let mut allowance = Allowance::new(at(0));
        let shown = plan(&due(1..4), false, &mut allowance, at(0));
        assert_eq!(
            (shown.show, shown.together, shown.again_in),
            (ids(1..4), vec![], None)
        );
        let held = plan(&due(4..6), false, &mut allowance, at(1));
        assert_eq!(
            (held.show, held.again_in),
            (vec![], Some(Duration::from_secs(19)))
        );
        let held = plan(&due(4..9), false, &mut allowance, at(1));
        assert_eq!(held.again_in, Some(Duration::from_secs(19)));
        let together = plan(&due(4..9), false, &mut allowance, at(20));
        assert_eq!((together.show, together.together), (vec![], ids(4..9)));
    }

    #[test]
    fn quiet_hours_hold_everything_back_but_what_somebody_looks_for() {
        let mut allowance = Allowance::new(at(0));
        let mut waiting = due(1..4);
        waiting.push(Waiting {
            id: NotificationId(9),
            at_once: true,
        });
        let quiet = plan(&waiting, true, &mut allowance, at(0));
        assert_eq!((quiet.show, quiet.again_in), (vec![NotificationId(9)], None));
        assert_eq!(allowance, Allowance::new(at(0)), "nothing was taken");
    }

    #[test]
    fn nothing_waits_for_nothing() {
        let mut allowance = Allowance::new(at(0));
        assert_eq!(plan(&[], false, &mut allowance, at(0)), Plan::default());
    }
}
