//! Which blocks hold which beginnings of a sequence.
//!
//! A whole block is known by a key over everything that its content depends on: the salt, all
//! tokens before it and its own. A block that is full in part is known by what comes before it,
//! and the tokens that it holds. Keys are SHA-256, so that no prompt can be made up whose key is
//! that of another one.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::blocks::BlockId;

/// Stands for a beginning of whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Nothing yet. `salt` is what the content depends on beside the tokens: an adapter, or what
    /// the tokens of an image stand for.
    pub(crate) fn root(salt: &[u8]) -> Self {
        Self(Sha256::digest(salt).into())
    }

    /// This beginning and one more block.
    pub(crate) fn then(&self, tokens: &[u32]) -> Self {
        let mut hash = Sha256::new_with_prefix(self.0);
        tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        Self(hash.finalize().into())
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[derive(Debug)]
struct Entry {
    before: Key,
    tokens: Box<[u32]>,
    /// Of the beginning that ends with this block; `None` if it is not full.
    key: Option<Key>,
}

#[derive(Debug, Default)]
pub(super) struct Prefix {
    whole: HashMap<Key, BlockId>,
    /// The blocks behind a beginning.
    behind: HashMap<Key, Vec<BlockId>>,
    entries: HashMap<BlockId, Entry>,
}

impl Prefix {
    /// Remembers a full block with its key; false if one with that key is known.
    pub(super) fn insert_whole(&mut self, before: Key, tokens: &[u32], key: Key, block: BlockId) -> bool {
        if self.whole.contains_key(&key) {
            return false;
        }
        self.whole.insert(key, block);
        self.insert(before, tokens, Some(key), block);
        true
    }

    /// Remembers a block that is not full; false if its tokens are known.
    pub(super) fn insert_part(&mut self, before: Key, tokens: &[u32], block: BlockId) -> bool {
        let is_known = self
            .longest(before, tokens)
            .is_some_and(|(_, common)| common == tokens.len());
        if !is_known {
            self.insert(before, tokens, None, block);
        }
        !is_known
    }

    fn insert(&mut self, before: Key, tokens: &[u32], key: Option<Key>, block: BlockId) {
        self.behind.entry(before).or_default().push(block);
        let tokens = tokens.into();
        self.entries.insert(block, Entry { before, tokens, key });
    }

    pub(super) fn find(&self, key: Key) -> Option<BlockId> {
        self.whole.get(&key).copied()
    }

    /// The block behind `before` that agrees with most of `tokens`, and with how many: at least
    /// with one.
    pub(super) fn longest(&self, before: Key, tokens: &[u32]) -> Option<(BlockId, usize)> {
        let behind = self.behind.get(&before)?;
        let common = |block: &BlockId| {
            let entry = self.entries.get(block)?;
            Some((*block, common(&entry.tokens, tokens)))
        };
        behind
            .iter()
            .filter_map(common)
            .filter(|&(_, common)| common > 0)
            .max_by_key(|&(block, common)| (common, std::cmp::Reverse(block)))
    }

    /// Whether the block is not full and holds so many tokens.
    pub(super) fn is_part_of(&self, block: BlockId, length: usize) -> bool {
        self.entries
            .get(&block)
            .is_some_and(|entry| entry.key.is_none() && entry.tokens.len() == length)
    }

    pub(super) fn remove(&mut self, block: BlockId) {
        let Some(entry) = self.entries.remove(&block) else {
            return;
        };
        if let Some(key) = entry.key {
            self.whole.remove(&key);
        }
        if let Some(behind) = self.behind.get_mut(&entry.before) {
            behind.retain(|&other| other != block);
            if behind.is_empty() {
                self.behind.remove(&entry.before);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn blocks(&self) -> Vec<BlockId> {
        self.entries.keys().copied().collect()
    }
}

/// How many tokens two sequences have in common at their beginnings.
pub(super) fn common(left: &[u32], right: &[u32]) -> usize {
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_all_tokens_before_and_the_salt() {
        let root = Key::root(b"");
        let keys = [
            root,
            Key::root(b"adapter"),
            root.then(&[1, 2]),
            root.then(&[2, 1]),
            root.then(&[1, 2]).then(&[3, 4]),
            root.then(&[3, 4]),
            Key::root(b"adapter").then(&[1, 2]),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "key {index} is another one's");
        }
        assert_eq!(root.then(&[1, 2]), Key::root(b"").then(&[1, 2]));
    }

    #[test]
    fn the_block_that_agrees_with_most_is_found_until_it_is_removed() {
        let (root, mut prefix) = (Key::root(b""), Prefix::default());
        let whole = root.then(&[1, 2, 3, 4]);
        assert!(prefix.insert_whole(root, &[1, 2, 3, 4], whole, 7));
        assert!(!prefix.insert_whole(root, &[1, 2, 3, 4], whole, 8), "known");
        assert!(!prefix.insert_part(root, &[1, 2], 8), "a part of what is known");
        assert!(prefix.insert_part(root, &[1, 2, 9], 8));
        assert!(prefix.is_part_of(8, 3) && !prefix.is_part_of(8, 2) && !prefix.is_part_of(7, 4));
        type Case<'c> = (&'c [u32], Option<(BlockId, usize)>);
        let cases: [Case<'_>; 5] = [
            (&[1, 2, 3, 9], Some((7, 3))),
            (&[1, 2, 9, 9], Some((8, 3))),
            (&[1, 5], Some((7, 1))),
            (&[5], None),
            (&[], None),
        ];
        for (tokens, expected) in cases {
            assert_eq!(prefix.longest(root, tokens), expected, "{tokens:?}");
        }
        assert_eq!(prefix.find(whole), Some(7));
        assert_eq!(prefix.longest(whole, &[1]), None);
        prefix.remove(7);
        prefix.remove(7);
        assert_eq!(
            (prefix.find(whole), prefix.longest(root, &[1, 2, 3])),
            (None, Some((8, 2)))
        );
        prefix.remove(8);
        assert!(prefix.behind.is_empty() && prefix.blocks().is_empty());
    }
}
