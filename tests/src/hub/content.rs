//! Files as a hub has them.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::Digest as _;

use super::Repository;

/// From this length on a file counts as large.
const LARGE: usize = 1000;

/// One file of a repository.
#[derive(Clone)]
pub struct RemoteFile {
    /// Sent as it is, however hostile.
    pub path: String,
    pub content: Arc<Vec<u8>>,
    sha256: String,
    git: String,
}

impl RemoteFile {
    #[must_use]
    pub fn new(path: &str, content: Vec<u8>) -> Self {
        let mut git = sha1::Sha1::new();
        git.update(format!("blob {}\0", content.len()));
        git.update(&content);
        Self {
            path: path.to_owned(),
            sha256: hex(&sha2::Sha256::digest(&content)),
            git: hex(&git.finalize()),
            content: Arc::new(content),
        }
    }

    /// As in an `ETag`.
    #[must_use]
    pub fn digest(&self) -> &str {
        if self.content.len() >= LARGE {
            &self.sha256
        } else {
            &self.git
        }
    }

    /// Whatever the content is.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn sibling(&self) -> Value {
        let size = self.content.len();
        let mut sibling = json!({"rfilename": self.path, "size": size, "blobId": self.git});
        if size >= LARGE {
            sibling["lfs"] = json!({"sha256": self.sha256, "size": size, "pointerSize": 134});
        }
        sibling
    }
}

impl Repository {
    /// Other files are another commit.
    pub(super) fn commit(&self) -> String {
        let mut commit = sha1::Sha1::new();
        for file in &self.files {
            commit.update(&file.path);
            commit.update(&file.sha256);
        }
        hex(&commit.finalize())
    }

    pub(super) fn listing(&self, name: &str) -> Value {
        let siblings: Vec<Value> = self.files.iter().map(RemoteFile::sibling).collect();
        json!({"id": name, "sha": self.commit(), "siblings": siblings, "tags": ["onnx"]})
    }
}

/// All files below a directory.
pub(super) fn read(directory: &Path) -> Vec<RemoteFile> {
    let mut files = Vec::new();
    walk(directory, "", &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn walk(directory: &Path, prefix: &str, files: &mut Vec<RemoteFile>) {
    for entry in std::fs::read_dir(directory)
        .expect("the directory exists")
        .flatten()
    {
        let path = format!("{prefix}{}", entry.file_name().to_str().expect("a text name"));
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{path}/"), files);
        } else {
            files.push(RemoteFile::new(
                &path,
                std::fs::read(entry.path()).expect("readable"),
            ));
        }
    }
}

/// Bytes that look like chance and are the same for the same seed.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
