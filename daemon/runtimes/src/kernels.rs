//! Whose kernels compute a model.

use std::fmt;
use std::str::FromStr;

use airunner_kernels::Isa;

const AUTO: &str = "auto";
const OFF: &str = "off";

/// Whose kernels compute models, as far as there is a choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// Ours with the best instructions of this processor, where they are faster.
    #[default]
    Auto,
    /// ONNX Runtime's.
    Off,
    /// Ours with these instructions; on a processor without them as [`Auto`](Self::Auto).
    Only(Isa),
}

impl Kernels {
    /// Every choice there is, on whatever processor.
    pub fn all() -> impl Iterator<Item = Self> {
        let named = Isa::ALL.into_iter().map(Self::Only);
        [Self::Auto, Self::Off].into_iter().chain(named)
    }

    /// Whether this processor has what is asked for.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Auto | Self::Off => true,
            Self::Only(isa) => isa.is_available(),
        }
    }

    /// The instructions that our kernels use; `None`: ONNX Runtime's kernels compute. Without
    /// particular instructions ours are slower, and are used only if they are asked for.
    #[must_use]
    pub fn instructions(self) -> Option<Isa> {
        match self {
            Self::Off => None,
            Self::Only(isa) if isa.is_available() => Some(isa),
            Self::Auto | Self::Only(_) => Some(Isa::best()).filter(|isa| *isa != Isa::Portable),
        }
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str(AUTO),
            Self::Off => f.write_str(OFF),
            Self::Only(isa) => isa.fmt(f),
        }
    }
}

/// No choice has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no kernels {0:?}")]
pub struct UnknownKernels(String);

impl FromStr for Kernels {
    type Err = UnknownKernels;

    fn from_str(name: &str) -> Result<Self, UnknownKernels> {
        let found = Self::all().find(|kernels| kernels.to_string() == name);
        found.ok_or_else(|| UnknownKernels(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_read_as_it_is_written() {
        for kernels in Kernels::all() {
            assert_eq!(kernels.to_string().parse(), Ok(kernels));
        }
        assert!("AUTO".parse::<Kernels>().is_err());
        assert!("".parse::<Kernels>().is_err());
    }

    #[test]
    fn what_the_processor_lacks_is_as_if_nothing_were_asked_for() {
        let automatic = Kernels::Auto.instructions();
        assert_eq!(Kernels::Off.instructions(), None);
        for isa in Isa::ALL {
            let only = Kernels::Only(isa);
            let expected = if Isa::available().contains(&isa) {
                Some(isa)
            } else {
                automatic
            };
            assert_eq!(only.instructions(), expected, "{isa}");
            assert_eq!(only.is_available(), Isa::available().contains(&isa), "{isa}");
        }
    }
}
