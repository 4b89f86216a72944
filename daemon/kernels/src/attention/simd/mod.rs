//! Vectors of 16 numbers, whatever instructions they are made of.
//!
//! Kernels are written once over [`Simd`] and inlined whole into a function that is compiled for
//! one set of instructions (see [`dispatch`]). That is why everything down here is
//! `inline(always)` and free of closures: a piece that is not inlined is compiled without them.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::exponent::{exponent, tangent};
use super::kernel::{Strip, multiply};
use super::stored::{Square, Stored};
use crate::Isa;
use portable::Portable;

/// Numbers in a vector.
pub(super) const LANES: usize = 16;

/// A value of such a type proves that the processor has the instructions.
pub(super) trait Simd: Copy {
    type Vector: Copy;

    /// Rows of sums that fit into the registers beside what is multiplied.
    const ROWS: usize;

    fn splat(self, number: f32) -> Self::Vector;
    fn load(self, from: &[f32; LANES]) -> Self::Vector;
    /// Numbers of 16 bits (IEEE).
    fn load_half(self, from: &[u16; LANES]) -> Self::Vector;
    fn load_byte(self, from: &[i8; LANES]) -> Self::Vector;
    fn store(self, vector: Self::Vector, to: &mut [f32; LANES]);
    fn store_half(self, vector: Self::Vector, to: &mut [u16; LANES]);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn multiply(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn divide(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`.
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The greater; `b` where one of the two is not a number.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller; `b` where one of the two is not a number.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The number whose bits are those of `vector` moved up to where the exponent begins.
    fn exponent_bits(self, vector: Self::Vector) -> Self::Vector;
    /// `then` where `vector` is not below `limit`, 0 elsewhere. NaN is not below anything.
    fn zero_below(self, vector: Self::Vector, limit: f32, then: Self::Vector) -> Self::Vector;
    /// Asks for the cache line where `from` begins, ahead of its use.
    fn prefetch<T>(self, from: &T);
    /// The same, so far ahead that it should not take the place of what is used before.
    #[inline(always)]
    fn prefetch_far<T>(self, from: &T) {
        self.prefetch(from);
    }

    /// See [`exponent`].
    #[inline(always)]
    fn exponent(self, power: Self::Vector) -> Self::Vector {
        exponent(self, power)
    }

    /// See [`tangent`].
    #[inline(always)]
    fn tangent(self, number: Self::Vector) -> Self::Vector {
        tangent(self, number)
    }

    /// See [`multiply`].
    #[inline(always)]
    fn multiply_square<E: Stored, const ROWS: usize>(
        self,
        rows: &Strip<ROWS>,
        square: &Square<E>,
        sums: &mut [Self::Vector; ROWS],
    ) {
        multiply(self, rows, square, sums);
    }
}

/// A computation over vectors.
pub(super) trait Job {
    /// Must be `inline(always)`.
    fn run<S: Simd>(self, simd: S);
}

/// Runs `job` compiled for these instructions, or portably where this processor lacks them.
pub(super) fn dispatch<J: Job>(isa: Isa, job: J) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => match avx512::Avx512::new() {
            Some(simd) => simd.run(job),
            None => job.run(Portable),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni => match avx2::Avx2::new() {
            Some(simd) => simd.run(job),
            None => job.run(Portable),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDot | Isa::NeonI8mm => match neon::Neon::new() {
            Some(simd) => simd.run(job),
            None => job.run(Portable),
        },
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::AvxVnni | Isa::Avx512Vnni => job.run(Portable),
        #[cfg(not(target_arch = "aarch64"))]
        Isa::NeonDot | Isa::NeonI8mm => job.run(Portable),
        Isa::Portable => job.run(Portable),
    }
}

/// Writes a type that is made only where the processor has these instructions, and `run`, which
/// compiles a job for them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! proof {
    ($name:ident, $features:literal, $has:ident($($feature:tt),*)) => {
        /// Made only where the processor has these instructions.
        #[derive(Clone, Copy)]
        pub(super) struct $name(());

        impl $name {
            pub(super) fn new() -> Option<Self> {
                ($(std::arch::$has!($feature))&&*).then_some(Self(()))
            }

            pub(super) fn run<J: super::Job>(self, job: J) {
                #[target_feature(enable = $features)]
                fn compiled<J: super::Job>(job: J, simd: $name) {
                    job.run(simd);
                }
                #[expect(
                    unsafe_code,
                    reason = "a function compiled for more instructions than its caller"
                )]
                // SAFETY: `self` exists only where the processor has these instructions.
                unsafe {
                    compiled(job, self);
                }
            }
        }
    };
}

/// Instructions that the existence of such a type vouches for.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! vouched {
    ($body:expr) => {{
        #[expect(unsafe_code, reason = "vector instructions")]
        // SAFETY: `self` exists only where the processor has these instructions, and every
        // address comes from a reference to an array of the size that is read or written.
        unsafe {
            $body
        }
    }};
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use {proof, vouched};
