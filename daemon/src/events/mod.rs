//! What everybody who watches is told.

mod hub;

pub use hub::{Hub, Publisher, Watch, hub};
