//! Which vector instructions to use.

use std::fmt;
use std::sync::OnceLock;

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

/// Names the set to use in place of the best one, or `portable`.
const OVERRIDE: &str = "AIRUNNER_ISA";

impl Isa {
    const ALL: [Self; 6] = [
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::NeonDot,
        Self::NeonI8mm,
    ];

    /// The best that this processor has, unless the environment variable `AIRUNNER_ISA` names
    /// another that it has.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| choose(std::env::var(OVERRIDE).ok().as_deref()))
    }

    /// All that this processor has, [`Portable`](Self::Portable) among them.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
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

    #[cfg(target_arch = "aarch64")]
    fn is_available(self) -> bool {
        use std::arch::is_aarch64_feature_detected as has;
        match self {
            Self::Portable => true,
            Self::NeonDot => has!("neon") && has!("dotprod"),
            Self::NeonI8mm => has!("neon") && has!("dotprod") && has!("i8mm"),
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni => false,
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn is_available(self) -> bool {
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

/// A name that is unknown, or of a set that is not there, changes nothing.
fn choose(wanted: Option<&str>) -> Isa {
    let available = Isa::available();
    let named = wanted.and_then(|name| available.iter().find(|isa| isa.name() == name));
    let best = named.or_else(|| available.last());
    best.copied().unwrap_or(Isa::Portable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_can_be_chosen() {
        let best = choose(None);
        for isa in Isa::available() {
            assert_eq!(choose(Some(isa.name())), isa);
        }
        assert_eq!(choose(Some("mmx")), best);
        assert!(Isa::available().contains(&Isa::Portable));
    }
}
