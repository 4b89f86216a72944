//! Sleep and battery: the machine stays awake while there is something to do, is looked at anew
//! after it slept, and on battery gives back what is idle, as the settings say.

mod activity;
mod keeper;

pub use keeper::{Parts, keep};
