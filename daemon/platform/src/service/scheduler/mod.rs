//! Tasks that run when a user of Windows logs on.

mod manager;
mod task_file;

pub(super) use manager::Scheduler;
pub use task_file::task;
