//! Fetching models from a hub, as users do it, with everything that can go wrong.

mod crashes;
mod disk;
mod faults;
mod packages;
mod requests;
mod support;
