//! Conversations that were asked to be kept.
//!
//! What somebody says to a model is theirs: only what is said within a conversation is stored, it
//! is shown to its owner, and deleting it deletes it. A turn is stored when its answer is
//! complete, so what failed or was given up leaves a conversation as it was.

mod handle;
mod turn;

pub use handle::Conversations;
pub use turn::Turn;

#[cfg(test)]
mod tests;
