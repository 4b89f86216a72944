//! What the C library's allocator keeps of freed memory.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;
    /// Weights, and what loading them leaves behind, are larger than this.
    const LARGE: c_int = 256 << 10;

    #[expect(unsafe_code, reason = "no crate in use offers them")]
    unsafe extern "C" {
        safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
        safe fn malloc_trim(pad: usize) -> c_int;
    }

    pub(super) fn keep_little() {
        if mallopt(M_MMAP_THRESHOLD, LARGE) != 1 || mallopt(M_TRIM_THRESHOLD, LARGE) != 1 {
            tracing::debug!("the allocator takes no settings");
        }
    }

    pub(super) fn give_back() {
        let given = malloc_trim(0) == 1;
        tracing::debug!(given, "the allocator's memory was trimmed");
    }
}

/// Large pieces go back to the system when they are freed, from here on. Otherwise glibc would
/// keep more with every large piece it sees freed, and a model would hold on to most of what its
/// loading once needed.
pub(crate) fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::keep_little();
}

/// Gives back everything that is free, where that can be asked for. Takes milliseconds.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::give_back();
}
