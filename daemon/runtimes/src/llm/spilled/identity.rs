//! What keys and values depend on beside the tokens.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Raised when blocks are kept in another way than before.
const FORM: u32 = 1;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// Everything that decides what a block holds, as far as it is not in its key.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'f> {
    /// What the model is called: when it goes, what it left goes.
    pub(crate) model: &'f str,
    /// The copy that computes. Its name stands for the package's files, the processor and ONNX
    /// Runtime; its small files for the passes and the packed weights.
    pub(crate) copy: &'f Path,
    /// The instructions that compute.
    pub(crate) instructions: &'f str,
    /// Form of a block in each layer.
    pub(crate) layers: &'f str,
    pub(crate) block_tokens: usize,
    /// Files of the copy that say nothing of what it computes.
    pub(crate) aside: &'f [&'f str],
    /// Files whose sizes are enough, since others hold their checksums.
    pub(crate) sizes: &'f [&'f str],
}

/// A digest of it all.
pub(crate) fn identity(facts: &Facts<'_>) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    add(&FORM.to_le_bytes());
    // Another version may compute with other kernels.
    add(env!("CARGO_PKG_VERSION").as_bytes());
    add(std::env::consts::ARCH.as_bytes());
    add(&u32::from_ne_bytes([1, 2, 3, 4]).to_le_bytes());
    add(facts.model.as_bytes());
    add(facts.instructions.as_bytes());
    add(facts.layers.as_bytes());
    add(&facts.block_tokens.to_le_bytes());
    let name = facts.copy.file_name().unwrap_or_default();
    add(name.as_encoded_bytes());
    let mut files: Vec<_> = fs::read_dir(facts.copy)?.collect::<io::Result<_>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name();
        let is_one_of = |names: &[&str]| names.iter().any(|other| name == *other);
        if is_one_of(facts.aside) {
            continue;
        }
        add(name.as_encoded_bytes());
        add(&file.metadata()?.len().to_le_bytes());
        if !is_one_of(facts.sizes) {
            add(&content(&file.path())?);
        }
    }
    Ok(digest.finalize().into())
}

fn content(path: &Path) -> io::Result<[u8; 32]> {
    let (mut digest, mut file) = (Sha256::new(), fs::File::open(path)?);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(digest.finalize().into()),
            read => digest.update(&piece[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_decides_what_is_computed_makes_another_one() {
        let home = tempfile::tempdir().unwrap();
        let copy = home.path().join("0123");
        fs::create_dir(&copy).unwrap();
        for (name, text) in [("graph", "nodes"), ("used", ""), ("weights", "12345")] {
            fs::write(copy.join(name), text).unwrap();
        }
        let facts = Facts {
            model: "tiny",
            copy: &copy,
            instructions: "avx2",
            layers: "2 heads",
            block_tokens: 32,
            aside: &["used"],
            sizes: &["weights"],
        };
        let first = identity(&facts).unwrap();
        let other = |change: &dyn Fn(&mut Facts<'_>)| {
            let mut facts = facts.clone();
            change(&mut facts);
            identity(&facts).unwrap()
        };
        assert_eq!(other(&|_| {}), first);
        assert_ne!(other(&|facts| facts.model = "other"), first);
        assert_ne!(other(&|facts| facts.instructions = "portable"), first);
        assert_ne!(other(&|facts| facts.layers = "4 heads"), first);
        assert_ne!(other(&|facts| facts.block_tokens = 16), first);
        let with = |name: &str, text: &str| {
            fs::write(copy.join(name), text).unwrap();
            identity(&facts).unwrap()
        };
        assert_eq!(with("used", "now"), first);
        assert_eq!(with("weights", "54321"), first, "their checksums are elsewhere");
        assert_ne!(with("weights", "1234"), first);
        assert_eq!(with("weights", "12345"), first);
        assert_ne!(with("graph", "sedon"), first);
        assert_eq!(with("graph", "nodes"), first);
        let renamed = home.path().join("4567");
        fs::rename(&copy, &renamed).unwrap();
        let moved = Facts {
            copy: &renamed,
            ..facts
        };
        assert_ne!(identity(&moved).unwrap(), first);
    }
}
