//! How the panels of a product are divided among tasks.

use std::ops::Range;

/// Fewer panels than this are not worth a task.
const LEAST: usize = 8;

/// The same where a task is nothing but passing through its weights.
const LEAST_TO_PASS: usize = 2;

const TASKS_PER_THREAD: usize = 8;

/// Tasks of several panels each, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cut {
    /// As many for each thread, so that none waits for the others' last.
    Even { count: usize, tasks: usize },
    /// Each takes the same part of what is left, as long as that is enough: the first ones pass
    /// through long pieces of memory without a stop, and the last ones are so short that all
    /// threads end together.
    Falling {
        count: usize,
        tasks: usize,
        /// Tasks that take a part of what is left; those behind them are as short as it gets.
        falling: usize,
        /// Of what is left, what stays for the tasks behind.
        rest: f64,
    },
}

impl Cut {
    /// Tasks of at least `least` of `count` panels, unless there are threads for more.
    pub(super) fn even(count: usize, least: usize, threads: usize) -> Self {
        let worth = (count / LEAST).max(1);
        let each = (count / least).div_ceil(threads).clamp(1, TASKS_PER_THREAD);
        let tasks = if threads > 1 {
            (each * threads).min(worth)
        } else {
            1
        };
        Self::Even { count, tasks }
    }

    pub(super) fn falling(count: usize, threads: usize) -> Self {
        if threads < 2 || count < 2 * LEAST_TO_PASS {
            return Self::Even { count, tasks: 1 };
        }
        let part = 0.5 / threads as f64;
        let rest = 1.0 - part;
        let shrinks = (LEAST_TO_PASS as f64 / (part * count as f64)).ln() / rest.ln();
        let falling = shrinks.max(0.0).ceil() as usize;
        let left = left(count, rest, falling);
        Self::Falling {
            count,
            tasks: falling + left.div_ceil(LEAST_TO_PASS),
            falling,
            rest,
        }
    }

    pub(super) fn tasks(self) -> usize {
        match self {
            Self::Even { tasks, .. } | Self::Falling { tasks, .. } => tasks,
        }
    }

    /// The panels of a task; none for those that are not there.
    pub(super) fn task(self, number: usize) -> Range<usize> {
        self.start(number)..self.start(number + 1)
    }

    fn start(self, number: usize) -> usize {
        match self {
            Self::Even { count, tasks } => count * number.min(tasks) / tasks,
            Self::Falling {
                count, falling, rest, ..
            } => {
                let short = number.saturating_sub(falling) * LEAST_TO_PASS;
                count - left(count, rest, number.min(falling)).saturating_sub(short)
            }
        }
    }
}

/// Panels that so many tasks leave.
fn left(count: usize, rest: f64, tasks: usize) -> usize {
    (count as f64 * rest.powi(tasks as i32)).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(cut: Cut, count: usize) -> Result<(), TestCaseError> {
        let mut end = 0;
        for task in 0..cut.tasks() {
            let panels = cut.task(task);
            prop_assert_eq!(panels.start, end);
            prop_assert!(panels.end >= panels.start);
            end = panels.end;
        }
        prop_assert_eq!(end, count);
        prop_assert!(cut.task(cut.tasks()).is_empty());
        Ok(())
    }

    proptest! {
        #[test]
        fn every_panel_is_in_one_task(count in 0usize..20_000, least in 1usize..300, threads in 1usize..130) {
            check(Cut::even(count, least, threads), count)?;
            check(Cut::falling(count, threads), count)?;
        }

        #[test]
        fn what_falls_ends_in_short_tasks(count in 4usize..20_000, threads in 2usize..130) {
            let cut = Cut::falling(count, threads);
            let lengths: Vec<usize> = (0..cut.tasks()).map(|task| cut.task(task).len()).collect();
            prop_assert!(lengths[0] <= count.div_ceil(2 * threads).max(LEAST_TO_PASS));
            prop_assert!(lengths.last() <= Some(&LEAST_TO_PASS));
            // But for the rounding to whole panels they only become shorter.
            prop_assert!(lengths.is_sorted_by(|longer, shorter| longer + 1 >= *shorter));
            prop_assert!(cut.tasks() <= count, "no task is empty: {lengths:?}");
        }
    }
}
