//! Instructions that decide which kernels run, asked of the processor itself.

/// Lists each feature that is there, under the name it is reported by.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! detected {
    ($is_detected:ident: $($feature:tt => $name:literal),+ $(,)?) => {
        [$(($name, std::arch::$is_detected!($feature))),+]
            .into_iter()
            .filter_map(|(name, there)| there.then_some(name))
            .collect()
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) fn detected() -> Vec<&'static str> {
    detected!(is_x86_feature_detected:
        "avx2" => "avx2",
        "fma" => "fma",
        "f16c" => "f16c",
        "avxvnni" => "avx_vnni",
        "avx512f" => "avx512f",
        "avx512vnni" => "avx512_vnni",
        "avx512bf16" => "avx512_bf16",
    )
}

#[cfg(target_arch = "aarch64")]
pub(super) fn detected() -> Vec<&'static str> {
    detected!(is_aarch64_feature_detected:
        "neon" => "neon",
        "dotprod" => "dotprod",
        "i8mm" => "i8mm",
        "sve" => "sve",
    )
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn detected() -> Vec<&'static str> {
    Vec::new()
}
