//! What is told of every request: numbers, one line in the log, and a name to find both again.
//!
//! No query, no body, no key and nothing of an answer is told; routes are named as the
//! description names them, not as they were asked for.

mod body;
mod identity;
mod observe;
mod scrape;
mod trace;

pub(super) use observe::{Observer, method_name, observe};
pub(super) use scrape::router;
