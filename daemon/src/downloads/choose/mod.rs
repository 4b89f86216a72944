//! Which files of a repository to fetch: those of one variant, and nothing else.
//!
//! Pure: a list of files and what is wanted in, a choice out.

mod candidates;
mod files;

#[cfg(test)]
mod tests;

use airunner_core::hardware::Device;
use airunner_core::memory::{Quantization, display_bytes, ladder};
use airunner_core::{ErrorKind, Fault};

use super::hub::{Listing, RemoteFile};
use candidates::Candidate;
pub(super) use files::is_pickle;

/// What a device could hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    pub device: Device,
    pub compute_capability: Option<(u32, u32)>,
    /// Weights of so many bytes could be loaded there if everything else was unloaded.
    pub bytes: u64,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// `None`: the best that fits.
    pub(super) level: Option<Quantization>,
    /// The device to run on first; none: any size will do.
    pub(super) ceilings: &'a [Ceiling],
    /// Graph files that a catalogue recommends; only these are considered if any will do.
    pub(super) recommended: &'a [(Quantization, String)],
}

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// `None` if the names do not tell.
    pub(super) level: Option<Quantization>,
    /// The directory of the repository that becomes the package, with a slash at its end; empty:
    /// all of it.
    pub(super) directory: String,
    /// The graph, relative to the repository.
    pub(super) graph: String,
    pub(super) files: Vec<RemoteFile>,
}

pub(super) fn choose(listing: &Listing, wish: &Wish<'_>) -> Result<Choice, Fault> {
    let mut found = candidates::find(listing)?;
    let recommended = |candidate: &Candidate<'_>| {
        wish.recommended
            .iter()
            .find(|(_, file)| *file == candidate.graph)
            .map(|(level, _)| *level)
    };
    let helps = |candidate: &Candidate<'_>| {
        let level = recommended(candidate);
        level.is_some() && (wish.level.is_none() || level == wish.level)
    };
    if found.iter().any(helps) {
        found.retain_mut(|candidate| {
            let level = recommended(candidate);
            candidate.level = level.or(candidate.level);
            level.is_some()
        });
    }
    let chosen = match wish.level {
        Some(level) => of_level(&found, level, wish.ceilings)?,
        None => best(&found, wish.ceilings)?,
    };
    Ok(Choice {
        level: chosen.level,
        directory: chosen.directory.clone(),
        graph: chosen.graph.clone(),
        files: chosen.files.iter().map(|file| (*file).clone()).collect(),
    })
}

/// Asked for by name: honoured whatever its size, or refused.
fn of_level<'f, 'l>(
    found: &'f [Candidate<'l>],
    level: Quantization,
    ceilings: &[Ceiling],
) -> Result<&'f Candidate<'l>, Fault> {
    let device = ceilings.first().map_or(Device::Cpu, |ceiling| ceiling.device);
    let of_level = || found.iter().filter(|candidate| candidate.level == Some(level));
    of_level()
        .filter(|candidate| candidate.runs_on(device))
        .chain(of_level())
        .next()
        .ok_or_else(|| {
            let mut levels: Vec<&str> = found
                .iter()
                .filter_map(|candidate| candidate.level.map(Quantization::as_str))
                .collect();
            levels.sort_unstable();
            levels.dedup();
            let there = if levels.is_empty() {
                "none whose precision is known: leave the precision out".to_owned()
            } else {
                levels.join(", ")
            };
            Fault::invalid(format!("the repository has no {level} variant; it has {there}"))
        })
}

/// The first on the ladder that fits, device by device.
fn best<'f, 'l>(found: &'f [Candidate<'l>], ceilings: &[Ceiling]) -> Result<&'f Candidate<'l>, Fault> {
    let anything = [Ceiling {
        device: Device::Cpu,
        compute_capability: None,
        bytes: u64::MAX,
    }];
    let ceilings = if ceilings.is_empty() { &anything } else { ceilings };
    for ceiling in ceilings {
        let fits = |candidate: &&Candidate<'l>| {
            candidate.runs_on(ceiling.device) && candidate.weights() <= ceiling.bytes
        };
        let levels = ladder(ceiling.device, ceiling.compute_capability).map(Some);
        // What does not tell its level comes last.
        for level in levels.into_iter().chain([None]) {
            let of_level = found.iter().filter(|candidate| candidate.level == level);
            if let Some(candidate) = of_level.into_iter().find(fits) {
                return Ok(candidate);
            }
        }
    }
    Err(nothing_fits(found, ceilings))
}

fn nothing_fits(found: &[Candidate<'_>], ceilings: &[Ceiling]) -> Fault {
    let runs = |candidate: &&Candidate<'_>| ceilings.iter().any(|ceiling| candidate.runs_on(ceiling.device));
    let Some(least) = found.iter().filter(runs).map(Candidate::weights).min() else {
        return Fault::new(
            ErrorKind::ModelIncompatible,
            "the repository has variants for other kinds of devices only",
        );
    };
    let most = ceilings
        .iter()
        .map(|ceiling| ceiling.bytes)
        .max()
        .unwrap_or_default();
    Fault::new(
        ErrorKind::OutOfMemory,
        format!(
            "the smallest variant has {}, and this machine could load {}: choose a smaller model, raise the memory \
             budget, or name a precision to fetch it all the same",
            display_bytes(least),
            display_bytes(most)
        ),
    )
    .figure("required_bytes", least)
    .figure("available_bytes", most)
}
