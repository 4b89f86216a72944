//! The description of the API, and a page that shows it and lets it be tried.
//!
//! The page and all it needs is in the program: it asks nobody else for anything, and its
//! content security policy lets it ask nobody. Both are for everybody who reaches the address;
//! they tell nothing about this machine.

mod document;
mod errors;
mod viewer;

pub(super) use document::Document;
pub(super) use viewer::router;

#[cfg(test)]
mod tests;
