//! Packages made of files that clients sent one by one.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;

use airunner_core::ModelName;
use airunner_core::defaults::Defaults;
use airunner_core::model::Source;
use airunner_core::pickle::is_pickle;
use airunner_runtimes::package::{MANIFEST, inspect};

use super::Store;
use super::blobs::BlobDigest;
use super::error::{StoreError, at};
use super::import::warn;
use super::manifest::{Manifest, ManifestFile};
use super::sources::{MAX_DEPTH, MAX_FILES, is_plain};
use super::staging::Staging;

/// One file of a package to be, and which bytes it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Relative to the package, `/`-separated.
    pub path: String,
    pub digest: BlobDigest,
}

const NO_ONNX: &str = "models run here as ONNX packages; pull one (`airunner models pull`), or export the model to ONNX \
                       (for instance with Hugging Face Optimum) and send config.json, tokenizer.json and the .onnx files";
const PICKLE: &str = "such files run programs when they are read, and none of them is needed";
const OUTSIDE: &str =
    "its name must lead to a file inside the package, without hidden files, backslashes and colons";
const OWN: &str = "the program writes a file of that name itself";
const TWICE: &str = "another file or directory of the package has the same name";
const TOO_MANY: &str = "the package has too many files";

impl Store {
    /// Makes a package of files that were sent. It is held to what every import is held to.
    pub(super) fn assemble(
        &self,
        parts: &[Part],
        name: &ModelName,
        defaults: Defaults,
    ) -> Result<(Staging, Manifest), StoreError> {
        check_names(parts)?;
        let staging = self.stage()?;
        let files = parts
            .iter()
            .map(|part| self.add(part, &staging))
            .collect::<Result<Vec<_>, _>>()?;
        let summary = inspect(staging.directory()).map_err(StoreError::Package)?;
        warn(name, &summary.warnings);
        let source = Source::Import("upload".to_owned());
        let mut manifest = Manifest::new(name, summary.kind, summary.format, &source, files);
        manifest.defaults = defaults.into();
        Ok((staging, manifest))
    }

    fn add(&self, part: &Part, staging: &Staging) -> Result<ManifestFile, StoreError> {
        let blob = self.blob(&part.digest);
        let missing = |_| StoreError::NoBlob {
            digest: part.digest.to_string(),
        };
        let mut file = fs::File::open(&blob).map_err(missing)?;
        let mut beginning = Vec::new();
        file.by_ref()
            .take(4)
            .read_to_end(&mut beginning)
            .map_err(at("read", &blob))?;
        if beginning == b"GGUF" {
            return Err(unwanted(&part.path, NO_ONNX));
        }
        let size = file.metadata().map_err(at("read", &blob))?.len();
        staging.place(&part.path, &blob)?;
        Ok(ManifestFile {
            path: part.path.clone(),
            size,
            sha256: part.digest.hex().to_owned(),
        })
    }
}

/// Refuses what no package has before anything is looked at.
fn check_names(parts: &[Part]) -> Result<(), StoreError> {
    let mut taken = BTreeSet::new();
    let mut directories = BTreeSet::new();
    for part in parts {
        let path = part.path.as_str();
        let reason = if parts.len() > MAX_FILES {
            Some(TOO_MANY)
        } else {
            fault_of(path)
        };
        if let Some(reason) = reason {
            return Err(unwanted(path, reason));
        }
        // The same on systems that do not tell cases apart.
        let folded = path.to_lowercase();
        let above = folded.match_indices('/').map(|(end, _)| folded[..end].to_owned());
        directories.extend(above);
        taken.insert(folded);
    }
    let clashes = |part: &&Part| directories.contains(&part.path.to_lowercase());
    let clashing = parts.iter().find(clashes);
    match clashing.or_else(|| parts.last().filter(|_| taken.len() < parts.len())) {
        Some(part) => Err(unwanted(&part.path, TWICE)),
        None => Ok(()),
    }
}

fn fault_of(path: &str) -> Option<&'static str> {
    let lower = path.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
    let is_inside = path
        .split('/')
        .all(|part| is_plain(part) && !part.starts_with('.'));
    if !is_inside || path.len() > 255 || path.split('/').count() > MAX_DEPTH {
        Some(OUTSIDE)
    } else if lower == MANIFEST {
        Some(OWN)
    } else if ends(&[".gguf", ".safetensors"]) {
        Some(NO_ONNX)
    } else if is_pickle(path) {
        Some(PICKLE)
    } else {
        None
    }
}

fn unwanted(path: &str, reason: &'static str) -> StoreError {
    StoreError::Unwanted {
        name: path.chars().take(128).collect(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(paths: &[&str]) -> Vec<Part> {
        let digest = BlobDigest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
        let part = |path: &&str| Part {
            path: (*path).to_owned(),
            digest: digest.clone(),
        };
        paths.iter().map(part).collect()
    }

    #[test]
    fn names_lead_nowhere_else_and_belong_to_packages() {
        let fine = [
            "config.json",
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "a..b/c.json",
        ];
        assert!(check_names(&parts(&fine)).is_ok());
        for (path, reason) in [
            ("", OUTSIDE),
            ("..", OUTSIDE),
            ("../config.json", OUTSIDE),
            ("a/../../b", OUTSIDE),
            ("/etc/passwd", OUTSIDE),
            ("a//b", OUTSIDE),
            ("a/", OUTSIDE),
            (".hidden", OUTSIDE),
            ("a\\b", OUTSIDE),
            ("C:x", OUTSIDE),
            ("a\0b", OUTSIDE),
            ("1/2/3/4/5/6/7", OUTSIDE),
            (MANIFEST, OWN),
            ("model.gguf", NO_ONNX),
            ("Model.SafeTensors", NO_ONNX),
            ("pytorch_model.bin", PICKLE),
        ] {
            let refused = check_names(&parts(&[path])).unwrap_err();
            assert!(
                matches!(refused, StoreError::Unwanted { reason: found, .. } if found == reason),
                "{path:?}: {refused}"
            );
        }
        for clash in [["a", "a/b"], ["a/b/c", "a/b"], ["A.json", "a.JSON"]] {
            let refused = check_names(&parts(&clash)).unwrap_err();
            assert!(
                matches!(refused, StoreError::Unwanted { reason: TWICE, .. }),
                "{clash:?}"
            );
        }
    }
}
