#![expect(unsafe_code, reason = "the system's functions have no other form")]

use airunner_core::cores::HardwareThread;
use windows_sys::Win32::System::SystemInformation::{
    GetLogicalProcessorInformationEx, RelationProcessorCore,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessAffinityMask, GetProcessGroupAffinity,
};

use super::records::{self, Allowed};

pub(super) fn threads() -> Vec<HardwareThread> {
    let mut length = 0;
    // SAFETY: without a buffer it writes nothing but the length it needs.
    unsafe {
        GetLogicalProcessorInformationEx(RelationProcessorCore, std::ptr::null_mut(), &raw mut length);
    }
    // Words, because the records are to begin at multiples of eight.
    let mut buffer = vec![0_u64; (length as usize).div_ceil(size_of::<u64>())];
    // SAFETY: the buffer has at least `length` bytes and is not used otherwise meanwhile.
    let written = unsafe {
        let place = buffer.as_mut_ptr().cast();
        GetLogicalProcessorInformationEx(RelationProcessorCore, place, &raw mut length)
    };
    if written == 0 {
        return Vec::new();
    }
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let length = (length as usize).min(bytes.len());
    records::threads(&bytes[..length], allowed())
}

/// `None` where this process may use all there are, or several groups of processors.
fn allowed() -> Option<Allowed> {
    let (mut mask, mut all, mut group, mut groups) = (0_usize, 0_usize, 0_u16, 1_u16);
    // SAFETY: each pointer is to a variable of its type that lives longer than the call, of which
    // the group is a list of the one element that `groups` announces.
    let told = unsafe {
        let process = GetCurrentProcess();
        GetProcessAffinityMask(process, &raw mut mask, &raw mut all) != 0
            && GetProcessGroupAffinity(process, &raw mut groups, &raw mut group) != 0
    };
    (told && groups == 1 && mask != 0).then_some(Allowed {
        group,
        mask: mask as u64,
    })
}
