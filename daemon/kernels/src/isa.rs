//! Which vector instructions to use.

use std::fmt;

/// Sets of vector instructions that kernels are written for, the widest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// No particular instructions: what every kernel is compared with.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// The same with 8-bit dot products of 256 bits.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI.
    Avx512Vnni,
    /// 64-bit ARM with 8-bit dot products.
    NeonDot,
    /// The same with products of 8-bit matrices.
    NeonI8mm,
}

impl Isa {
    /// Those of every processor, the widest last.
    pub const ALL: [Self; 6] = [
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::NeonDot,
        Self::NeonI8mm,
    ];

    /// The best that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::Portable)
    }

    /// The one of this name, if this processor has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// All that this processor has, [`Portable`](Self::Portable) among them.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this processor has them.
    #[cfg(target_arch = "x86_64")]
    #[must_use]
    pub fn is_available(self) -> bool {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = || has!("avx2") && has!("fma") && has!("f16c");
        match self {
            Self::Portable => true,
            Self::Avx2 => avx2(),
            Self::AvxVnni => avx2() && has!("avxvnni"),
            Self::Avx512Vnni => {
                avx2()
                    && has!("avx512f")
                    && has!("avx512bw")
                    && has!("avx512dq")
                    && has!("avx512vl")
                    && has!("avx512vnni")
            }
            Self::NeonDot | Self::NeonI8mm => false,
        }
    }

    /// Whether this processor has them.
    #[cfg(target_arch = "aarch64")]
    #[must_use]
    pub fn is_available(self) -> bool {
        use std::arch::is_aarch64_feature_detected as has;
        match self {
            Self::Portable => true,
            Self::NeonDot => has!("neon") && has!("dotprod"),
            Self::NeonI8mm => has!("neon") && has!("dotprod") && has!("i8mm"),
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni => false,
        }
    }

    /// Whether this processor has them.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    #[must_use]
    pub fn is_available(self) -> bool {
        self == Self::Portable
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::NeonDot => "neon-dot",
            Self::NeonI8mm => "neon-i8mm",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_has_a_name() {
        let available = Isa::available();
        assert_eq!(available.first(), Some(&Isa::Portable));
        assert_eq!(available.last(), Some(&Isa::best()));
        for isa in available {
            assert_eq!(Isa::named(isa.name()), Some(isa));
        }
        assert_eq!(Isa::named("mmx"), None);
    }
}
