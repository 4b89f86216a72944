//! What identifies the contents of a file of the hub.

use std::fmt;

/// The hub names large files by their SHA-256 and small ones as git does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Digest {
    Sha256([u8; 32]),
    /// SHA-1 of `blob <size>\0` and the contents.
    GitBlob([u8; 20]),
}

impl Digest {
    /// From 64 or 40 hex digits, as in an ETag.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        match text.len() {
            64 => bytes(text).map(Self::Sha256),
            40 => bytes(text).map(Self::GitBlob),
            _ => None,
        }
    }

    /// Back from its text form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, hex) = text.split_once('-')?;
        let digest = Self::from_hex(hex)?;
        (digest.kind() == kind).then_some(digest)
    }

    /// Lower case, without the kind.
    pub(crate) fn hex(&self) -> String {
        match self {
            Self::Sha256(bytes) => hex(bytes),
            Self::GitBlob(bytes) => hex(bytes),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::GitBlob(_) => "git",
        }
    }
}

/// One word that is also a safe file name: `sha256-<hex>` or `git-<hex>`.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind(), self.hex())
    }
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_from_its_text() {
        for text in [
            format!("sha256-{}", "0a".repeat(32)),
            format!("git-{}", "ff".repeat(20)),
        ] {
            assert_eq!(Digest::parse(&text).unwrap().to_string(), text);
        }
        for text in [
            String::new(),
            "sha256-".to_owned(),
            format!("git-{}", "0a".repeat(32)),
            format!("sha256-{}", "zz".repeat(32)),
            format!("sha256-{}/../x", "0a".repeat(29)),
            format!("git-{}", "+1".repeat(20)),
            "é".repeat(20),
        ] {
            assert_eq!(Digest::parse(&text), None, "{text}");
            assert_eq!(Digest::from_hex(&text), None, "{text}");
        }
    }
}
