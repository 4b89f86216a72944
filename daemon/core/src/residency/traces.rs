//! Readable traces: who asks for what, and what comes of it.

mod swapping;
