//! The form of a file: what it is of, and a checksum, before what a block holds.

use crate::llm::kv::Key;

const MAGIC: [u8; 8] = *b"AIRNRKV1";
const DIGEST: usize = 32;
const PART: usize = MAGIC.len();
const KEY: usize = PART + DIGEST;
const LENGTH: usize = KEY + DIGEST;
const CHECKSUM: usize = LENGTH + size_of::<u64>();
pub(super) const HEADER_BYTES: usize = CHECKSUM + size_of::<u32>();

/// What stands before a block of so many bytes; the checksum comes with [`seal`].
pub(super) fn header(part: &[u8; DIGEST], key: &Key, block_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + block_bytes);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(part);
    bytes.extend_from_slice(key.bytes());
    bytes.extend_from_slice(&(block_bytes as u64).to_le_bytes());
    bytes.extend_from_slice(&[0; HEADER_BYTES - CHECKSUM]);
    bytes
}

/// Writes the checksum of everything else into a file's bytes.
pub(super) fn seal(bytes: &mut [u8]) {
    let checksum = checksum(bytes);
    bytes[CHECKSUM..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether these are the bytes of this very block, all of them and as they were written.
pub(super) fn is_whole(bytes: &[u8], part: &[u8; DIGEST], key: &Key, block_bytes: usize) -> bool {
    bytes.len() == HEADER_BYTES + block_bytes
        && bytes[..PART] == MAGIC
        && bytes[PART..KEY] == part[..]
        && bytes[KEY..LENGTH] == key.bytes()[..]
        && bytes[LENGTH..CHECKSUM] == (block_bytes as u64).to_le_bytes()
        && bytes[CHECKSUM..HEADER_BYTES] == checksum(bytes).to_le_bytes()
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[..CHECKSUM]);
    checksum.update(&bytes[HEADER_BYTES..]);
    checksum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(content: &[u8]) -> Vec<u8> {
        let key = Key::root(b"").then(&[1, 2]);
        let mut bytes = header(&[7; 32], &key, content.len());
        bytes.extend_from_slice(content);
        seal(&mut bytes);
        bytes
    }

    #[test]
    fn a_file_is_of_one_block_of_one_part() {
        let key = Key::root(b"").then(&[1, 2]);
        let bytes = file(b"keys and values");
        assert!(is_whole(&bytes, &[7; 32], &key, 15));
        assert_eq!(&bytes[HEADER_BYTES..], b"keys and values");
        assert!(!is_whole(&bytes, &[8; 32], &key, 15), "another part");
        assert!(!is_whole(&bytes, &[7; 32], &key.then(&[3]), 15), "another key");
        assert!(!is_whole(&bytes, &[7; 32], &key, 14), "another size");
        assert!(!is_whole(&[], &[7; 32], &key, 15));
    }

    proptest! {
        #[test]
        fn whatever_changes_is_seen(content in prop::collection::vec(any::<u8>(), 1..200), place: prop::sample::Index, bit in 0..8_u8) {
            let key = Key::root(b"").then(&[1, 2]);
            let mut bytes = file(&content);
            prop_assert!(is_whole(&bytes, &[7; 32], &key, content.len()));
            let short = &bytes[..place.index(bytes.len())];
            prop_assert!(!is_whole(short, &[7; 32], &key, content.len()));
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert!(!is_whole(&bytes, &[7; 32], &key, content.len()));
        }
    }
}
