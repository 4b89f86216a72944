#![expect(unsafe_code, reason = "the system's functions have no other form")]

use std::ffi::OsString;
use std::os::windows::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::ptr::{null, null_mut};

use widestring::U16CString;
use windows_sys::Win32::Storage::FileSystem::SearchPathW;

pub(super) const IS_WANTED: bool = true;

/// Beside the program, in the system's folders and along `PATH`, as Windows looks for what a library wants.
pub(super) fn find(file: &str) -> Option<PathBuf> {
    let name = U16CString::from_str(file).ok()?;
    let mut path = [0_u16; 1024];
    let room = u32::try_from(path.len()).ok()?;
    // SAFETY: the name ends with a zero, and the buffer has the room that is said.
    let written = unsafe { SearchPathW(null(), name.as_ptr(), null(), room, path.as_mut_ptr(), null_mut()) };
    // Nothing found, or a path that does not fit.
    let written = usize::try_from(written).ok().filter(|&length| length > 0)?;
    path.get(..written).map(|path| OsString::from_wide(path).into())
}
