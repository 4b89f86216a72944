//! No particular instructions: loops that a compiler turns into those of any processor.

use super::super::exponent::{exponent, tangent};
use super::super::kernel::{Strip, multiply};
use super::super::stored::{Square, Stored};
use super::{LANES, Simd};
use half::f16;
use half::slice::HalfFloatSliceExt;

#[derive(Clone, Copy)]
pub(super) struct Portable;

#[derive(Clone, Copy)]
pub(super) struct Numbers([f32; LANES]);

/// Applies an operation lane by lane.
macro_rules! lanes {
    ($lane:ident => $number:expr) => {{
        let mut numbers = [0.0; LANES];
        let mut $lane = 0;
        while $lane < LANES {
            numbers[$lane] = $number;
            $lane += 1;
        }
        Numbers(numbers)
    }};
}

impl Simd for Portable {
    type Vector = Numbers;

    const ROWS: usize = 2;

    #[inline(always)]
    fn splat(self, number: f32) -> Numbers {
        Numbers([number; LANES])
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Numbers {
        Numbers(*from)
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; LANES]) -> Numbers {
        let mut halves = [f16::ZERO; LANES];
        for (half, bits) in halves.iter_mut().zip(from) {
            *half = f16::from_bits(*bits);
        }
        let mut numbers = [0.0; LANES];
        halves.convert_to_f32_slice(&mut numbers);
        Numbers(numbers)
    }

    #[inline(always)]
    fn load_byte(self, from: &[i8; LANES]) -> Numbers {
        lanes!(lane => f32::from(from[lane]))
    }

    #[inline(always)]
    fn store(self, vector: Numbers, to: &mut [f32; LANES]) {
        *to = vector.0;
    }

    #[inline(always)]
    fn store_half(self, vector: Numbers, to: &mut [u16; LANES]) {
        let mut halves = [f16::ZERO; LANES];
        halves.convert_from_f32_slice(&vector.0);
        for (bits, half) in to.iter_mut().zip(halves) {
            *bits = half.to_bits();
        }
    }

    #[inline(always)]
    fn add(self, a: Numbers, b: Numbers) -> Numbers {
        lanes!(lane => a.0[lane] + b.0[lane])
    }

    #[inline(always)]
    fn subtract(self, a: Numbers, b: Numbers) -> Numbers {
        lanes!(lane => a.0[lane] - b.0[lane])
    }

    #[inline(always)]
    fn multiply(self, a: Numbers, b: Numbers) -> Numbers {
        lanes!(lane => a.0[lane] * b.0[lane])
    }

    #[inline(always)]
    fn divide(self, a: Numbers, b: Numbers) -> Numbers {
        lanes!(lane => a.0[lane] / b.0[lane])
    }

    /// In one step only where every processor of the kind can: a call of a function elsewhere.
    #[inline(always)]
    fn multiply_add(self, a: Numbers, b: Numbers, c: Numbers) -> Numbers {
        if cfg!(target_arch = "aarch64") {
            lanes!(lane => a.0[lane].mul_add(b.0[lane], c.0[lane]))
        } else {
            lanes!(lane => a.0[lane] * b.0[lane] + c.0[lane])
        }
    }

    #[inline(always)]
    fn max(self, a: Numbers, b: Numbers) -> Numbers {
        lanes!(lane => if a.0[lane] > b.0[lane] { a.0[lane] } else { b.0[lane] })
    }

    #[inline(always)]
    fn min(self, a: Numbers, b: Numbers) -> Numbers {
        lanes!(lane => if a.0[lane] < b.0[lane] { a.0[lane] } else { b.0[lane] })
    }

    #[inline(always)]
    fn exponent_bits(self, vector: Numbers) -> Numbers {
        lanes!(lane => f32::from_bits(vector.0[lane].to_bits() << 23))
    }

    #[inline(always)]
    fn zero_below(self, vector: Numbers, limit: f32, then: Numbers) -> Numbers {
        lanes!(lane => if vector.0[lane] < limit { 0.0 } else { then.0[lane] })
    }

    #[inline(always)]
    fn prefetch<T>(self, _: &T) {}

    // What takes many steps is not inlined: the compiler would spread out each lane of each step.

    #[inline(never)]
    fn exponent(self, power: Numbers) -> Numbers {
        exponent(self, power)
    }

    #[inline(never)]
    fn tangent(self, number: Numbers) -> Numbers {
        tangent(self, number)
    }

    #[inline(never)]
    fn multiply_square<E: Stored, const ROWS: usize>(
        self,
        rows: &Strip<ROWS>,
        square: &Square<E>,
        sums: &mut [Numbers; ROWS],
    ) {
        multiply(self, rows, square, sums);
    }
}
