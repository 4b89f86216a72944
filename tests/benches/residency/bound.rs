//! How long a request may wait at most.
//!
//! Once it has waited for the ageing time it is served before everything that came later, so
//! what is left is the work that was before it at that moment: what is under way (a load and an
//! answer), and for every model that an aged request before it, or it itself, waits for, one
//! swap (an answer that has to end, the end of that worker, a load) and as many rounds of
//! answers as those requests need. All of it one after the other, as if memory held one model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use airunner_core::Moment;

/// The times the world takes, at most.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) load: Duration,
    pub(crate) stop: Duration,
    pub(crate) longest_answer: Duration,
    pub(crate) fair_after: Duration,
    pub(crate) at_once: usize,
}

/// Keeps, for each request that waits, by when it has to be let in.
#[derive(Default)]
pub(crate) struct Bounds {
    /// By arrival: which model.
    waiting: BTreeMap<usize, (Moment, usize)>,
    aged: BTreeSet<usize>,
    by_when: BTreeMap<usize, Moment>,
}

impl Bounds {
    pub(crate) fn arrives(&mut self, request: usize, model: usize, now: Moment) {
        self.waiting.insert(request, (now, model));
    }

    /// Works out the bounds of those who have aged by now.
    pub(crate) fn look(&mut self, times: &Times, now: Moment) {
        let ages = |arrived: &Moment| now.since(*arrived) >= times.fair_after;
        for (request, (arrived, _)) in &self.waiting {
            if !ages(arrived) {
                break;
            }
            if self.aged.insert(*request) {
                let before = self.waiting.range(..=request).map(|(_, (_, model))| *model);
                let work = work(times, before);
                self.by_when
                    .insert(*request, arrived.plus(times.fair_after + work));
            }
        }
    }

    /// True if it was let in in time.
    pub(crate) fn let_in(&mut self, request: usize, now: Moment) -> bool {
        self.waiting.remove(&request);
        self.by_when.get(&request).is_none_or(|by_when| now <= *by_when)
    }

    /// Those who waited for the ageing time at least.
    pub(crate) fn aged(&self) -> usize {
        self.aged.len()
    }
}

fn work(times: &Times, models: impl Iterator<Item = usize>) -> Duration {
    let mut requests: BTreeMap<usize, usize> = BTreeMap::new();
    for model in models {
        *requests.entry(model).or_default() += 1;
    }
    let under_way = times.load + times.longest_answer;
    let swap = times.longest_answer + times.stop + times.load;
    let rounds = |count: &usize| u32::try_from(count.div_ceil(times.at_once)).unwrap_or(u32::MAX);
    requests.values().fold(under_way, |work, count| {
        work + swap + times.longest_answer * rounds(count)
    })
}
