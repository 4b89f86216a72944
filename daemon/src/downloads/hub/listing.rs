//! What a repository holds at one commit, as the hub tells it.

use serde::Deserialize;

use super::error::HubError;
use super::names::{self, Repository};
use crate::downloads::digest::Digest;

const MAX_FILES: usize = 4096;
/// Largest file anybody believes in, bytes: what a hub declares is reserved on the disk and
/// counted in chunks.
pub(super) const MAX_FILE: u64 = 16 << 40;
/// Longest answer that is read.
pub(super) const MAX_BYTES: usize = 32 << 20;

/// One file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// `/`-separated; checked.
    pub(crate) path: String,
    /// `None` if the listing does not say.
    pub(crate) content: Option<Content>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// All files at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: Vec<RemoteFile>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    /// Hubs name it in one way, or the other, or both.
    sha256: Option<String>,
    oid: Option<String>,
    size: Option<u64>,
}

impl Listing {
    pub(super) fn parse(repository: &Repository, text: &[u8]) -> Result<Self, HubError> {
        let bad = |problem: String| HubError::BadListing {
            repository: repository.to_string(),
            problem,
        };
        let answer: Answer = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
        if !is_commit(&answer.sha) {
            return Err(bad("its commit is not one".to_owned()));
        }
        if answer.siblings.len() > MAX_FILES {
            return Err(bad(format!("it has more than {MAX_FILES} files")));
        }
        let mut files = Vec::with_capacity(answer.siblings.len());
        for sibling in answer.siblings {
            match names::look_at(&sibling.rfilename) {
                names::Path::Sound => files.push(sibling.file().map_err(bad)?),
                names::Path::Useless => {}
                names::Path::Hostile => {
                    let shown: String = sibling.rfilename.chars().take(80).collect();
                    return Err(bad(format!("the name {shown:?} would leave the package")));
                }
            }
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(bad(format!("it names {:?} twice", pair[0].path)));
        }
        Ok(Self {
            commit: answer.sha,
            files,
        })
    }
}

impl Lfs {
    fn digest(&self) -> Option<&str> {
        self.sha256.as_deref().or(self.oid.as_deref())
    }
}

impl Sibling {
    fn file(self) -> Result<RemoteFile, String> {
        let digest = match (&self.lfs, &self.blob_id) {
            (Some(lfs), _) => Some(lfs.digest().unwrap_or_default()),
            (None, blob) => blob.as_deref(),
        };
        let digest = digest
            .map(|text| {
                let read = Digest::from_hex(text).filter(|digest| {
                    // A large file that is named as git does would not be checked as it should be.
                    self.lfs.is_none() || matches!(digest, Digest::Sha256(_))
                });
                read.ok_or_else(|| format!("{:?} has no digest", self.rfilename))
            })
            .transpose()?;
        let size = self.lfs.as_ref().and_then(|lfs| lfs.size).or(self.size);
        if size.is_some_and(|size| size > MAX_FILE) {
            return Err(format!(
                "no file is as large as {:?} is said to be",
                self.rfilename
            ));
        }
        Ok(RemoteFile {
            path: self.rfilename,
            content: size.zip(digest).map(|(size, digest)| Content { size, digest }),
        })
    }
}

pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse(siblings: &str) -> Result<Listing, HubError> {
        let text = format!(r#"{{"id": "a/b", "sha": "{COMMIT}", "siblings": {siblings}, "tags": []}}"#);
        Listing::parse(&repository(), text.as_bytes())
    }

    fn repository() -> Repository {
        Repository::parse("a/b").unwrap()
    }

    #[test]
    fn both_names_of_a_digest_may_be_said_at_once() {
        let digest = "ab".repeat(32);
        for lfs in [
            format!(r#"{{"oid": "{digest}", "sha256": "{digest}"}}"#),
            format!(r#"{{"oid": "{digest}"}}"#),
            format!(r#"{{"sha256": "{digest}"}}"#),
        ] {
            let listing = parse(&format!(r#"[{{"rfilename": "x", "size": 1, "lfs": {lfs}}}]"#)).unwrap();
            assert!(listing.files[0].content.is_some(), "{lfs}");
        }
        assert!(parse(r#"[{"rfilename": "x", "size": 1, "lfs": {}}]"#).is_err());
    }

    #[test]
    fn no_file_is_larger_than_disks_are() {
        let digest = "ab".repeat(20);
        for (size, believed) in [(MAX_FILE, true), (MAX_FILE + 1, false), (u64::MAX, false)] {
            let listing = parse(&format!(
                r#"[{{"rfilename": "x", "size": {size}, "blobId": "{digest}"}}]"#
            ));
            assert_eq!(listing.is_ok(), believed, "{size}");
        }
    }

    #[test]
    fn large_files_have_a_sha256_and_small_ones_that_of_git() {
        let (large, small) = ("ab".repeat(32), "cd".repeat(20));
        let listing = parse(&format!(
            r#"[{{"rfilename": "onnx/model.onnx", "size": 134, "blobId": "{small}",
                  "lfs": {{"sha256": "{large}", "size": 5000000000, "pointerSize": 134}}}},
                {{"rfilename": "config.json", "size": 7, "blobId": "{small}"}},
                {{"rfilename": "unknown"}}, {{"rfilename": "a/b/c/d/e/f/too/deep"}}]"#
        ))
        .unwrap();
        assert_eq!(listing.commit, COMMIT);
        let files: Vec<_> = listing
            .files
            .iter()
            .map(|file| {
                (
                    file.path.as_str(),
                    file.content.map(|content| (content.size, content.digest)),
                )
            })
            .collect();
        assert_eq!(
            files,
            [
                ("config.json", Some((7, Digest::from_hex(&small).unwrap()))),
                (
                    "onnx/model.onnx",
                    Some((5_000_000_000, Digest::from_hex(&large).unwrap()))
                ),
                ("unknown", None),
            ]
        );
    }

    #[test]
    fn what_no_hub_sends_is_refused() {
        let many = format!(
            "[{}]",
            (0..=MAX_FILES)
                .map(|number| format!(r#"{{"rfilename": "{number}"}}"#))
                .collect::<Vec<_>>()
                .join(",")
        );
        for (siblings, problem) in [
            (r#"[{"rfilename": "../../.bashrc"}]"#, "would leave the package"),
            (r#"[{"rfilename": "a\u0000b"}]"#, "would leave the package"),
            (r#"[{"rfilename": "x"}, {"rfilename": "x"}]"#, "twice"),
            (r#"[{"rfilename": "x", "blobId": "../x"}]"#, "no digest"),
            (
                r#"[{"rfilename": "x", "lfs": {"oid": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}}]"#,
                "no digest",
            ),
            (r#"[{"rfilename": "x", "size": -1}]"#, "invalid value"),
            ("7", "invalid type"),
            (&many, "more than 4096"),
        ] {
            let error = parse(siblings).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        for text in [r#"{"sha": "main", "siblings": []}"#, "<html>", ""] {
            Listing::parse(&repository(), text.as_bytes()).unwrap_err();
        }
    }
}
