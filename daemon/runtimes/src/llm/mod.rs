//! Language models.

pub mod sampling;
pub mod text;
