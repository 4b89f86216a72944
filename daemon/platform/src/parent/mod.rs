//! Ending with the process that started this one.

use std::io::{self, Read as _};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// Asks the system to kill this process when its parent dies, where it can do that.
pub fn die_with_parent() -> io::Result<()> {
    os::die_with_parent()
}

/// Runs `then` on its own thread when standard input ends, which it does when the parent closes
/// its end of the pipe or dies in whatever way.
pub fn when_standard_input_ends(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name("parent-watch".to_owned())
        .spawn(move || {
            let mut input = io::stdin().lock();
            let mut buffer = [0; 64];
            loop {
                match input.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            then();
        })?;
    Ok(())
}
