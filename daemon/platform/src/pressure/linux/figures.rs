//! What the kernel prints of memory pressure.

/// Waiting for so much of the time, in percent, is pressure; as the triggers have it.
const LONG: f64 = 15.0;

/// True if the line `some avg10=...` says that some program waited for long lately.
pub(super) fn are_stalls_long(text: &str) -> bool {
    let average = text
        .lines()
        .find_map(|line| line.strip_prefix("some "))
        .and_then(|fields| fields.split(' ').find_map(|field| field.strip_prefix("avg10=")))
        .and_then(|number| number.parse::<f64>().ok());
    average.is_some_and(|percent| percent >= LONG)
}

/// How often a control group met its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    high: u64,
    max: u64,
    out_of_memory: u64,
}

impl Counts {
    /// From `memory.events`; what is missing is 0.
    pub(super) fn parse(text: &str) -> Self {
        let count = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once(' '))
                .find(|(found, _)| *found == name)
                .and_then(|(_, number)| number.trim().parse().ok())
                .unwrap_or(0)
        };
        Self {
            high: count("high"),
            max: count("max"),
            out_of_memory: count("oom"),
        }
    }

    pub(super) const fn exceeds(self, earlier: Self) -> bool {
        self.high > earlier.high || self.max > earlier.max || self.out_of_memory > earlier.out_of_memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_stalls_are_told_from_short_ones() {
        for (text, expected) in [
            (
                "some avg10=15.00 avg60=0.38 avg300=0.12 total=44799303\nfull avg10=0.16\n",
                true,
            ),
            (
                "some avg10=14.99 avg60=99.00 avg300=99.00 total=1\nfull avg10=50.00\n",
                false,
            ),
            ("full avg10=50.00 avg60=0 avg300=0 total=1\n", false),
            ("some avg10=NaN total=1\n", false),
            ("some avg10= total=1\n", false),
            ("some\n", false),
            ("", false),
        ] {
            assert_eq!(are_stalls_long(text), expected, "{text:?}");
        }
    }

    #[test]
    fn only_more_events_than_before_count() {
        let counts = |text| Counts::parse(text);
        let before = counts("low 0\nhigh 5\nmax 2\noom 0\noom_kill 0\n");
        for (text, expected) in [
            ("low 9\nhigh 5\nmax 2\noom 0\noom_kill 0\n", false),
            ("high 6\nmax 2\noom 0\n", true),
            ("high 5\nmax 3\noom 0\n", true),
            ("high 5\nmax 2\noom 1\n", true),
            ("high many\nmax -1\n", false),
            ("", false),
        ] {
            assert_eq!(counts(text).exceeds(before), expected, "{text:?}");
        }
    }
}
