//! Whose turn comes before whose.

use crate::lifecycle::RequestId;
use crate::priority::Priority;
use crate::time::Moment;

use super::Policy;
use super::demand::Demand;

/// Where a request stands against others, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// It has waited for so long that its class does not matter any more.
    pub(super) aged: bool,
    pub(super) priority: Priority,
    pub(super) arrived: Moment,
    /// Its place among the requests of all clients.
    start: u64,
    request: RequestId,
}

impl Standing {
    pub(super) fn new(demand: &Demand, policy: &Policy, now: Moment) -> Self {
        Self {
            aged: now.since(demand.arrived) >= policy.fair_after,
            priority: demand.priority,
            arrived: demand.arrived,
            start: demand.start,
            request: demand.request,
        }
    }

    /// To sort by: who has waited too long, then the class, then fairly among clients, which for
    /// requests of one client is the order of their arrival.
    pub(super) fn turn(self) -> impl Ord {
        let class = if self.aged {
            0
        } else {
            u8::MAX - self.priority as u8
        };
        (!self.aged, class, self.place())
    }

    fn place(self) -> impl Ord {
        (self.start, self.arrived, self.request)
    }

    /// True if the other one is not let in before this one is served. An earlier place alone
    /// does not suffice: whoever wants what is loaded may go first, until this one has aged.
    pub(super) fn outranks(self, other: Self) -> bool {
        if self.aged {
            return !other.aged || other.place() > self.place();
        }
        !other.aged && self.priority > other.priority
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standing() -> impl Strategy<Value = Standing> {
        (any::<bool>(), 0..3_usize, 0..4_u64, 0..4_u64, 0..4_u64).prop_map(
            |(aged, class, start, arrived, request)| Standing {
                aged,
                priority: Priority::ALL[class],
                arrived: Moment::since_start(std::time::Duration::from_secs(arrived)),
                start,
                request: RequestId(request),
            },
        )
    }

    proptest! {
        /// What the decisions rely on when they look at the first of a group only.
        #[test]
        fn who_outranks_the_first_outranks_all_who_come_later(a in standing(), b in standing(), c in standing()) {
            if a.outranks(b) && b.turn() <= c.turn() && a.request != c.request {
                prop_assert!(a.outranks(c));
            }
            prop_assert!(!a.outranks(b) || !b.outranks(a));
            prop_assert!(!a.outranks(b) || a.turn() < b.turn());
        }
    }
}
