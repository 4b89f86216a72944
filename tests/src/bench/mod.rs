//! What the benchmarks share: answers with their times, medians, the machine's name, a table.

mod answers;
mod bare;
mod machine;
mod rounds;

pub use answers::{Timed, answer, prompt, request};
pub use bare::{BareLoop, Speed};
pub use machine::describe;
pub use rounds::{median, quantile, ratio};

/// One line of a table.
pub struct Figure {
    what: String,
    bar: &'static str,
    measured: String,
}

impl Figure {
    #[must_use]
    pub fn new(what: impl Into<String>, bar: &'static str, measured: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            bar,
            measured: measured.into(),
        }
    }
}

/// As it stands in a table of Markdown.
impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "| {} | {} | {} |", self.what, self.bar, self.measured)
    }
}
