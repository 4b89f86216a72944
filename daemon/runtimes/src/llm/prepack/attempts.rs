//! Which passes a copy for our own operators is made with: all that prove themselves.
//!
//! Attention comes first and alone, because it must be equal but for the order of sums; then all
//! products with it. Where these are too far from the original, one pass is added after the other,
//! and those that do not prove themselves are left out.

use std::fs;
use std::path::Path;

use airunner_core::model::CacheType;

use super::proof::{self, Doubt, Exactness, Sample, Seen};
use super::{GRAPH, PrepackError, at};
use crate::LoadOptions;
use crate::graph::Pass;
use crate::llm::rewritten::{self, Planned};
use crate::llm::session::Model;
use crate::package::Package;

/// Writes a copy into a directory that is there; false where there is nothing that our operators
/// could do, or where what they do is not the same. An error is the machine's: the next time it
/// may go well.
pub(super) fn rewrite(
    package: &Package,
    options: &LoadOptions,
    building: &Path,
) -> Result<bool, PrepackError> {
    if options.kernels.instructions().is_none() {
        return Ok(false);
    }
    let mut search = Search {
        package,
        // As the graph has it: how keys and values are kept is for each load to say.
        options: LoadOptions {
            cache_type: CacheType::Auto,
            prepacked_directory: None,
            ..options.clone()
        },
        building,
        original: None,
        kept: Vec::new(),
        applied: Vec::new(),
        written: Vec::new(),
        refused: Vec::new(),
    };
    search.run()?;
    search.finish()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Kept,
    /// It makes no difference.
    Nothing,
    /// It does not work, which may be because of products that are still the original's.
    Broken,
    Refused,
}

/// Why passes are left out, other than that the machine could not.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    Doubt(#[from] Doubt),
    #[error("{}", airunner_core::error::chain(.0))]
    Error(PrepackError),
}

/// What the original says, and how near a copy has to be, with products of our own or without.
struct Original {
    sample: Sample,
    with_products: Exactness,
    without: Exactness,
}

struct Search<'s> {
    package: &'s Package,
    options: LoadOptions,
    building: &'s Path,
    /// Once it was asked.
    original: Option<Original>,
    /// Passes that have proved themselves.
    kept: Vec<Pass>,
    /// What they changed.
    applied: Vec<&'static str>,
    /// The passes whose copy lies in the directory, whole or not.
    written: Vec<Pass>,
    /// What was left out, and why.
    refused: Vec<(String, String)>,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), PrepackError> {
        let (attention, products): (Vec<Pass>, Vec<Pass>) =
            Pass::ALL.into_iter().partition(|pass| pass.is_of_attention());
        if matches!(self.add(&attention)?, Verdict::Broken | Verdict::Nothing) {
            // Products of the original may stand in its way: some mix tokens, because they quantize
            // the activations of all together, and some hide what is to be recognised.
            let all = [&attention[..], &products].concat();
            let before = std::mem::take(&mut self.refused);
            if self.add(&all)? == Verdict::Kept {
                return Ok(());
            }
            self.refused.splice(0..0, before);
        }
        match self.add(&products)? {
            Verdict::Kept | Verdict::Nothing => {}
            Verdict::Broken | Verdict::Refused => {
                for pass in products {
                    self.add(&[pass])?;
                }
            }
        }
        Ok(())
    }

    /// Keeps these passes too, if they prove themselves.
    fn add(&mut self, passes: &[Pass]) -> Result<Verdict, PrepackError> {
        let wanted = [&self.kept[..], passes].concat();
        let planned = match self.plan(&wanted) {
            Ok(planned) => planned,
            Err(error) => {
                let names = passes.iter().map(|pass| pass.name()).collect();
                return Ok(self.refuse(names, &error.sorted()?));
            }
        };
        let is_nothing = planned.applied() == self.applied || !planned.is_worth_it();
        if is_nothing || passes.contains(&Pass::Attention) && !planned.is_paged() {
            tracing::debug!(?passes, skipped = ?planned.skipped(), "nothing is changed");
            return Ok(Verdict::Nothing);
        }
        let applied = planned.applied().to_vec();
        match self.prove(planned, &wanted)? {
            Ok(()) => {
                (self.kept, self.applied) = (wanted, applied);
                Ok(Verdict::Kept)
            }
            Err(reason) => {
                let fresh = applied.iter().filter(|name| !self.applied.contains(name));
                let fresh = fresh.copied().collect();
                Ok(self.refuse(fresh, &reason))
            }
        }
    }

    /// What passes do together, more than one or one alone, is not wanted.
    fn refuse(&mut self, passes: Vec<&'static str>, reason: &Reason) -> Verdict {
        self.refused.push((passes.join(", "), reason.to_string()));
        match reason {
            Reason::Doubt(Doubt::Mixing { .. }) | Reason::Error(_) => Verdict::Broken,
            Reason::Doubt(Doubt::Different { .. }) => Verdict::Refused,
        }
    }

    fn plan(&self, wanted: &[Pass]) -> Result<Planned, PrepackError> {
        Ok(rewritten::plan(self.package, &self.options, wanted)?)
    }

    /// Writes a copy and looks at what it says.
    fn prove(&mut self, planned: Planned, wanted: &[Pass]) -> Result<Result<(), Reason>, PrepackError> {
        let original = match self.original.take() {
            Some(original) => original,
            None => self.ask()?,
        };
        let applied = planned.applied();
        let mut products = Pass::ALL.into_iter().filter(|pass| !pass.is_of_attention());
        let exactness = if products.any(|pass| applied.contains(&pass.name())) {
            original.with_products
        } else {
            original.without
        };
        let seen = self
            .write(planned, wanted)
            .and_then(|()| self.look(&original.sample));
        self.original = Some(original);
        match seen {
            Ok(seen) => {
                tracing::debug!(?wanted, ?seen, ?exactness, "what a rewritten graph says");
                Ok(seen.judge(exactness).map_err(Reason::Doubt))
            }
            Err(error) => Ok(Err(error.sorted()?)),
        }
    }

    fn ask(&self) -> Result<Original, PrepackError> {
        let mut model = Model::open(self.package, &self.options)?;
        let [without, with_products] = [false, true].map(|has| Exactness::of(has, &model, self.package));
        Ok(Original {
            sample: Sample::of(&mut model, self.package)?,
            with_products,
            without,
        })
    }

    fn look(&self, original: &Sample) -> Result<Seen, PrepackError> {
        let graph = self.building.join(GRAPH);
        let mut made = Model::open_copy(self.package, &self.options, &graph)?;
        Ok(proof::look(original, &mut made, self.package)?)
    }

    fn write(&mut self, planned: Planned, wanted: &[Pass]) -> Result<(), PrepackError> {
        self.clear()?;
        self.written = wanted.to_vec();
        Ok(planned.write(self.package, &self.options, &self.refused, self.building)?)
    }

    fn clear(&mut self) -> Result<(), PrepackError> {
        if self.written.is_empty() {
            return Ok(());
        }
        self.written.clear();
        fs::remove_dir_all(self.building).map_err(at("delete", self.building))?;
        fs::create_dir_all(self.building).map_err(at("create", self.building))
    }

    /// Leaves what was kept in the directory; false where that is nothing.
    fn finish(mut self) -> Result<bool, PrepackError> {
        let variant = self.package.variant();
        for (passes, reason) in &self.refused {
            tracing::warn!(
                variant,
                passes,
                reason,
                "a faster copy does without changes that do not prove themselves"
            );
        }
        if self.kept.is_empty() {
            self.clear()?;
            return Ok(false);
        }
        if self.written != self.kept {
            let kept = self.kept.clone();
            self.write(self.plan(&kept)?, &kept)?;
        }
        Ok(true)
    }
}

impl PrepackError {
    /// Whether it is this copy that does not work; an error that may be the machine's stays one.
    fn sorted(self) -> Result<Reason, Self> {
        let is_machine = match &self {
            Self::Rewrite(error) => error.is_machine(),
            Self::Compute(error) => error.is_machine(),
            Self::File { .. } | Self::Seal(_) => true,
            Self::Package(_) | Self::Different { .. } => false,
        };
        if is_machine {
            Err(self)
        } else {
            Ok(Reason::Error(self))
        }
    }
}

#[cfg(test)]
mod tests;
