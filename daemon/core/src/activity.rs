//! What the daemon works on for a while that is neither a load nor an answer nor a download.

use std::fmt;

use crate::name::ModelName;

/// Names an activity, for as long as the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActivityId(pub u64);

impl fmt::Display for ActivityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is done to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivityKind {
    /// Its files are copied into the store.
    Import,
    /// A smaller one is made of it.
    Quantize,
    /// Its files are compared with what they should be.
    Verify,
}

impl ActivityKind {
    pub const ALL: [Self; 3] = [Self::Import, Self::Quantize, Self::Verify];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Quantize => "quantize",
            Self::Verify => "verify",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// For people: `Quantizing`.
    #[must_use]
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Import => "Importing",
            Self::Quantize => "Quantizing",
            Self::Verify => "Checking",
        }
    }

    /// Whether only so many go on at a time, and the others wait.
    #[must_use]
    pub const fn takes_turns(self) -> bool {
        match self {
            Self::Import => false,
            Self::Quantize | Self::Verify => true,
        }
    }
}

/// One of them, under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    pub id: ActivityId,
    pub kind: ActivityKind,
    /// The model it is done to; with an import the one that comes of it.
    pub model: ModelName,
    /// 0 to 1.
    pub fraction: f64,
    /// Others of its kind go first.
    pub is_waiting: bool,
}

impl Activity {
    /// For people: `43 %`, or `waiting for its turn`.
    #[must_use]
    pub fn progress(&self) -> String {
        if self.is_waiting {
            "waiting for its turn".to_owned()
        } else {
            format!("{} %", self.percent())
        }
    }

    /// How far it is, whole percent; 100 only at the end.
    #[must_use]
    pub fn percent(&self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 100 after the clamp, and what is no number becomes 0"
        )]
        let percent = (self.fraction.clamp(0.0, 1.0) * 100.0) as u32;
        percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_reads_back_from_its_text() {
        for kind in ActivityKind::ALL {
            assert_eq!(ActivityKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(ActivityKind::parse("dance"), None);
    }

    #[test]
    fn progress_that_is_no_number_is_nothing() {
        for (fraction, percent) in [
            (0.0, 0),
            (0.434, 43),
            (0.999, 99),
            (1.0, 100),
            (7.0, 100),
            (f64::NAN, 0),
        ] {
            let mut activity = Activity {
                id: ActivityId(1),
                kind: ActivityKind::Quantize,
                model: ModelName::new("tiny").unwrap(),
                fraction,
                is_waiting: false,
            };
            assert_eq!(activity.percent(), percent, "{fraction}");
            assert_eq!(activity.progress(), format!("{percent} %"));
            activity.is_waiting = true;
            assert_eq!(activity.progress(), "waiting for its turn");
        }
    }
}
